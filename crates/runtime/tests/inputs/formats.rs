//! Every way in which records may stand in a file.

use std::path::Path;

use neph_runtime::input::{ProblemKind, ReadOptions};

use crate::{Contents, Folder, pack, read, read_bytes, read_with};

const THREE: &str = "{\"n\":1}\n{\"n\":2}\n{\"n\":3}\n";

fn assert_three(contents: &Contents) {
    assert_eq!(
        contents.documents(),
        ["{\"n\":1}", "{\"n\":2}", "{\"n\":3}"],
        "{:?}",
        contents.problems
    );
    assert_eq!(contents.problems, []);
}

#[test]
fn one_object_a_line() {
    assert_three(&read_bytes(THREE));
    assert_three(&read_bytes(THREE.trim_end()));
    let odd = read_bytes("\u{feff}\r\n{\"n\":1}\r\n\r\n  {\"n\":2} \r\n\n\n{\"n\":3}");
    assert_three(&odd);
    assert_eq!(odd.lines(), [2, 4, 7]);
}

#[test]
fn what_windows_powershell_wrote_is_read() {
    let text = "{\"n\":1}\r\n{\"n\":2}\r\n{\"n\":3}\r\n";
    let wide = |text: &str, mark: [u8; 2], order: fn(u16) -> [u8; 2]| {
        let mut bytes = mark.to_vec();
        bytes.extend(text.encode_utf16().flat_map(order));
        bytes
    };
    let low_first = wide(text, [0xff, 0xfe], u16::to_le_bytes);
    assert_three(&read_bytes(&low_first));
    assert_three(&read_bytes(pack::gzip(&low_first)));
    assert_three(&read_bytes(wide(text, [0xfe, 0xff], u16::to_be_bytes)));
    let event =
        "<?xml version=\"1.0\" encoding=\"UTF-16\"?>\r\n<Events><Event><D>ä😀</D>\r\n</Event></Events>";
    let export = read_bytes(wide(event, [0xff, 0xfe], u16::to_le_bytes));
    assert_eq!(export.documents(), ["<Event><D>ä😀</D>&#13;&#10;</Event>"]);
    // Half a pair and half a character harm nothing else.
    let mut damaged = wide("{\"a\":\"x", [0xff, 0xfe], u16::to_le_bytes);
    damaged.extend([0x00, 0xd8]);
    damaged.extend("\"}\n{\"n\":2}\n".encode_utf16().flat_map(u16::to_le_bytes));
    damaged.push(b'{');
    let damaged = read_bytes(&damaged);
    assert_eq!(
        damaged.documents().get(..2),
        Some(&["{\"a\":\"x\u{fffd}\"}", "{\"n\":2}"][..])
    );
}

#[test]
fn an_array_on_one_line_or_many() {
    assert_three(&read_bytes(r#"[{"n":1},{"n":2},{"n":3}]"#));
    let many = read_bytes("[\n  {\"n\":1},\n  {\"n\":2}\n  ,\n{\"n\":3}\n]\n");
    assert_three(&many);
    assert_eq!(many.lines(), [2, 3, 5]);
    assert_eq!(read_bytes("[]").problems, []);
    assert_eq!(read_bytes(" [ ] ").records, []);
}

#[test]
fn objects_over_several_lines_and_one_after_the_other() {
    let pretty = read_bytes("{\n  \"a\": {\n    \"b\": \"}{\\\"\"\n  }\n}\n{\n  \"a\": [1,\n 2]\n}\n");
    assert_eq!(
        pretty.documents(),
        [
            "{\n  \"a\": {\n    \"b\": \"}{\\\"\"\n  }\n}",
            "{\n  \"a\": [1,\n 2]\n}"
        ]
    );
    assert_eq!(pretty.lines(), [1, 6]);
    assert_eq!(read_bytes("{\n\"only\": 1\n}").documents(), ["{\n\"only\": 1\n}"]);
    assert_three(&read_bytes(r#"{"n":1}{"n":2} {"n":3}"#));
    assert_three(&read_bytes("{\"n\":1},\n{\"n\":2},\n{\"n\":3}\n"));
}

#[test]
fn search_responses_and_scroll_pages() {
    let page = |from: u32| {
        format!(
            r#"{{"_scroll_id":"c2Nhbjs{{[","took":3,"_shards":{{"total":1,"failures":[{{"hits":[]}}]}},"hits":{{"total":{{"value":3}},"max_score":null,"hits":[{{"_index":"logs","_id":"i{from}","_score":1.0,"_source":{{"n":{from}}}}},{{"_index":"logs","_id":"i{}","_source":{{"n":{}}},"sort":[1]}}]}},"aggregations":{{"x":{{"buckets":[{{"key":1}}]}}}}}}"#,
            from + 1,
            from + 1
        )
    };
    let contents = read_bytes(format!("{}\n{}", page(1), page(3)));
    assert_eq!(
        contents.documents(),
        ["{\"n\":1}", "{\"n\":2}", "{\"n\":3}", "{\"n\":4}"]
    );
    assert_eq!(contents.problems, []);
    assert_eq!(contents.lines(), [1, 1, 2, 2]);
    let ids: Vec<_> = contents
        .records
        .iter()
        .map(|record| record.id.as_deref().unwrap())
        .collect();
    assert_eq!(ids, ["i1", "i2", "i3", "i4"]);
    assert!(
        contents
            .records
            .iter()
            .all(|record| record.index.as_deref() == Some("logs"))
    );

    let pretty = "{\n  \"took\" : 5,\n  \"hits\" : {\n    \"hits\" : [\n      {\n        \"_index\" : \"a\",\n        \"_id\" : \"x\\\"y\",\n        \"_source\" : {\n          \"n\" : 1\n        }\n      }\n    ]\n  }\n}\n";
    let contents = read_bytes(pretty);
    assert_eq!(contents.documents(), ["{\n          \"n\" : 1\n        }"]);
    assert_eq!(contents.records[0].id.as_deref(), Some("x\"y"));
    assert_eq!(contents.lines(), [5]);
    assert_eq!(
        read_bytes(r#"{"took":1,"hits":{"total":{"value":0},"hits":[]}}"#).problems,
        []
    );
}

#[test]
fn a_page_without_records_among_others_is_told() {
    let contents = read_bytes(
        "{\"hits\":{\"hits\":[{\"_id\":\"1\",\"_source\":{}}]}}\n{\"error\":{\"hits\":[]},\"status\":500}\n",
    );
    assert_eq!(contents.documents(), ["{}"]);
    assert_eq!(contents.kinds(), [(ProblemKind::NoRecords, Some(2))]);
}

#[test]
fn hits_one_a_line_as_export_tools_write_them() {
    let contents = read_bytes(concat!(
        "{\"_index\":\"logs\",\"_type\":\"_doc\",\"_id\":\"a\",\"_score\":1,\"_source\":{\"n\":1}}\n",
        "{ \"_source\": {\"n\":2}, \"_id\": \"b\" }\n",
        "{\"_index\":\"logs\",\"_id\":\"c\",\"fields\":{\"n\":[3]}}\n",
        "{\"n\":4}\n",
    ));
    assert_eq!(contents.documents(), ["{\"n\":1}", "{\"n\":2}", "{\"n\":4}"]);
    assert_eq!(contents.records[0].id.as_deref(), Some("a"));
    assert_eq!(contents.records[1].id.as_deref(), Some("b"));
    assert_eq!(contents.kinds(), [(ProblemKind::NoDocument, Some(3))]);
}

#[test]
fn a_record_that_states_its_own_id_stays_as_it_is() {
    let line = r#"{"_id":"7","_index":"i","_source":{"inner":true},"@timestamp":"2020-01-01T00:00:00Z"}"#;
    let contents = read_bytes(line);
    assert_eq!(contents.documents(), [line]);
    assert_eq!(contents.records[0].id.as_deref(), Some("7"));
    assert_eq!(contents.records[0].index.as_deref(), Some("i"));
}

#[test]
fn bulk_files() {
    let contents = read_bytes(concat!(
        "{\"index\":{\"_index\":\"logs\",\"_id\":\"1\"}}\n{\"n\":1}\n",
        "{\"create\":{}}\n\n{\"n\":2}\n",
        "{\"delete\":{\"_index\":\"logs\",\"_id\":\"9\"}}\n",
        "{\"update\":{\"_id\":\"3\"}}\n{\"doc\":{\"n\":3},\"doc_as_upsert\":true}\n",
        "{\"update\":{\"_id\":\"4\"}}\n{\"script\":\"ctx._source.n++\",\"upsert\":{\"n\":4}}\n",
        "{\"update\":{\"_id\":\"5\"}}\n{\"script\":\"ctx._source.n++\"}\n",
    ));
    assert_eq!(
        contents.documents(),
        ["{\"n\":1}", "{\"n\":2}", "{\"n\":3}", "{\"n\":4}"]
    );
    assert_eq!(contents.records[0].id.as_deref(), Some("1"));
    assert_eq!(contents.records[0].index.as_deref(), Some("logs"));
    assert_eq!(contents.records[1].id, None);
    assert_eq!(contents.records[2].id.as_deref(), Some("3"));
    assert_eq!(contents.lines(), [2, 5, 8, 10]);
    assert_eq!(contents.deletes, 1);
    assert_eq!(contents.kinds(), [(ProblemKind::NoDocument, Some(12))]);
}

#[test]
fn bulk_actions_without_documents_and_documents_without_actions() {
    let contents = read_bytes(
        "{\"index\":{}}\n{\"index\":{}}\n{\"n\":1}\n{\"n\":2}\n{\"index\":{}}\n{\"n\":3}\n{\"create\":{}}\n",
    );
    assert_eq!(contents.documents(), ["{\"n\":1}", "{\"n\":3}"]);
    let bulk = ProblemKind::BulkAction;
    assert_eq!(
        contents.kinds(),
        [(bulk, Some(1)), (bulk, Some(4)), (bulk, Some(7))]
    );
}

#[test]
fn a_record_that_looks_like_an_action_is_a_record() {
    let lines = "{\"index\":{\"name\":\"logs\"}}\n{\"create\":true}\n{\"delete\":{},\"by\":\"x\"}\n";
    assert_eq!(read_bytes(lines).documents(), lines.lines().collect::<Vec<_>>());
}

#[test]
fn records_files_of_cloud_providers() {
    assert_three(&read_bytes(r#"{"Records":[{"n":1},{"n":2},{"n":3}]}"#));
    assert_three(&read_bytes(
        "{\"Records\":[{\"n\":1}]}{\"Records\":[{\"n\":2}]}\n{\"Records\" : [\n{\"n\":3}\n]}",
    ));
    assert_three(&read_bytes(r#"{"records":[{"n":1},{"n":2},{"n":3}]}"#));
    // Anything else in the object says that it is an event with such a field.
    let event = r#"{"eventVersion":"1.08","Records":[{"n":1}]}"#;
    assert_eq!(read_bytes(event).documents(), [event]);
}

#[test]
fn every_compression_by_content_under_any_name() {
    let folder = Folder::new();
    let packed = [
        pack::gzip(THREE.as_bytes()),
        pack::zstd(THREE.as_bytes()),
        pack::xz(THREE.as_bytes()),
        pack::zip(&[("any", THREE.as_bytes())]),
        pack::gzip(&pack::zstd(THREE.as_bytes())),
        pack::gzip(&pack::zip(&[("any", &pack::xz(THREE.as_bytes()))])),
        pack::zip(&[("inner.zip", &pack::zip(&[("any", THREE.as_bytes())]))]),
    ];
    for (number, bytes) in packed.iter().enumerate() {
        assert_three(&read(&folder.write(&format!("{number}.txt"), bytes)));
    }
    let plain = folder.write("plain.gz", THREE);
    assert_three(&read(&plain));
}

#[test]
fn several_members_and_frames_make_one_text() {
    let (first, second) = THREE.as_bytes().split_at(11);
    for pack in [pack::gzip, pack::zstd, pack::xz] {
        let mut bytes = pack(first);
        bytes.extend(pack(second));
        assert_three(&read_bytes(bytes));
    }
}

#[test]
fn each_entry_of_an_archive_is_an_input() {
    let folder = Folder::new();
    let entries: [(&str, &[u8]); 4] = [
        ("b/two.json", b"[{\"n\":2},{\"n\":3}]"),
        ("b/", b""),
        ("a.ndjson", b"{\"n\":1}\n"),
        ("c.bin", b"\x00\x01\x02"),
    ];
    let contents = read(&folder.write("logs.zip", pack::zip(&entries)));
    assert_eq!(contents.documents(), ["{\"n\":1}", "{\"n\":2}", "{\"n\":3}"]);
    assert!(
        contents.records[0].source.ends_with("logs.zip!/a.ndjson"),
        "{}",
        contents.records[0].source
    );
    assert!(contents.records[2].source.ends_with("logs.zip!/b/two.json"));
    assert_eq!(contents.kinds(), [(ProblemKind::Binary, None)]);
}

#[test]
fn folders_patterns_and_files_named_twice() {
    let folder = Folder::new();
    folder.write("logs/a.ndjson", "{\"n\":1}\n");
    folder.write("logs/deep/er/b.ndjson.gz", pack::gzip(b"{\"n\":2}\n"));
    folder.write("logs/c.json", "[{\"n\":3}]");
    folder.write("logs/.hidden", "{\"n\":4}\n");
    folder.write("logs/.git/config.json", "{\"n\":5}\n");
    let logs = folder.path().join("logs");
    let sorted = |mut contents: Contents| {
        contents.records.sort_by_key(|record| record.document.clone());
        contents
    };
    assert_three(&sorted(read(&logs)));
    assert_three(&sorted(read_with(
        &[&logs, &logs.join("a.ndjson"), &logs],
        ReadOptions::default(),
    )));
    assert_eq!(
        read(&folder.path().join("logs/*.ndjson")).documents(),
        ["{\"n\":1}"]
    );
    assert_eq!(
        read(&folder.path().join("logs/**/*.ndjson*")).documents(),
        ["{\"n\":1}", "{\"n\":2}"]
    );
    assert_eq!(
        read(&folder.path().join("logs/{c,z}.js?n")).documents(),
        ["{\"n\":3}"]
    );
    assert_eq!(read(&folder.path().join("*/d[a-e]ep")).documents(), ["{\"n\":2}"]);
    // A name that is there is a name, even if it looks like a pattern; a hidden file that is named is read.
    folder.write("logs/[a].ndjson", "{\"n\":6}\n");
    assert_eq!(
        read(&folder.path().join("logs/[a].ndjson")).documents(),
        ["{\"n\":6}"]
    );
    assert_eq!(read(&logs.join(".hidden")).documents(), ["{\"n\":4}"]);
}

/// The reader is told apart by content only, so a list of files must not have to be sorted out by the user.
#[test]
fn all_formats_together_in_one_folder() {
    let folder = Folder::new();
    folder.write("1", "{\"n\":1}");
    folder.write("2.zst", pack::zstd(b"[{\"n\":2}]"));
    folder.write("3", r#"{"hits":{"hits":[{"_id":"3","_source":{"n":3}}]}}"#);
    let contents = read(folder.path());
    assert_three(&contents);
    let positions: Vec<u64> = contents.records.iter().map(|record| record.position).collect();
    assert!(positions.is_sorted(), "{positions:?}");
    assert_eq!(Path::new(&contents.records[2].source), folder.path().join("3"));
}
