//! Mails, as a server gets them.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::thread::JoinHandle;

use neph_config::{Output, OutputKind};

use super::{EVIL, group, message, record};
use crate::{Message, Outcome, mail};

/// A server that takes one mail for each answer, and says the answer to its text.
fn server(answers: &'static [&'static str]) -> (String, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let thread = std::thread::spawn(move || {
        let mut mails = Vec::new();
        for answer in answers {
            let (stream, _) = listener.accept().unwrap();
            let mut writer = stream.try_clone().unwrap();
            writer.write_all(b"220 here\r\n").unwrap();
            let (mut mail, mut in_text) = (String::new(), false);
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                if in_text {
                    in_text = line != ".";
                    if in_text {
                        mail.push_str(&line);
                        mail.push('\n');
                        continue;
                    }
                    writer.write_all(answer.as_bytes()).unwrap();
                    writer.write_all(b"\r\n").unwrap();
                    continue;
                }
                in_text = line == "DATA";
                let reply: &[u8] = match line.split(' ').next() {
                    Some("DATA") => b"354 go on\r\n",
                    Some("QUIT") => b"221 bye\r\n",
                    _ => b"250 ok\r\n",
                };
                if writer.write_all(reply).is_err() {
                    break;
                }
            }
            mails.push(mail);
        }
        mails
    });
    (address, thread)
}

fn output(address: &str, template: Option<std::path::PathBuf>) -> Output {
    super::output(
        "ecs",
        OutputKind::Mail {
            server: address.to_owned(),
            tls: "none".to_owned(),
            from: "Nephoscope <neph@example.com>".to_owned(),
            to: vec!["soc@example.com".to_owned(), "lead@example.com".to_owned()],
            user: None,
            password: None,
            template,
            ca: None,
        },
    )
}

fn header<'m>(mail: &'m str, name: &str) -> Vec<&'m str> {
    let head = mail.split("\n\n").next().unwrap();
    let prefix = format!("{name}: ");
    head.lines()
        .filter_map(|line| line.strip_prefix(prefix.as_str()))
        .collect()
}

#[test]
fn mails_of_an_alert_are_one_thread() {
    let (address, server) = server(&["250 taken"; 3]);
    let mut transport = mail::open(&output(&address, None)).unwrap();
    let (record, group) = (record("www-data"), group("web-2"));
    let updated = Message {
        key: "a1:2".to_owned(),
        kind: neph_store::DeliveryKind::Updated,
        ..message(&record)
    };
    let grouped = Message {
        key: "g7".to_owned(),
        group: Some(&group),
        ..message(&record)
    };
    assert_eq!(
        transport.send(&[message(&record), updated, grouped]),
        [Outcome::Delivered, Outcome::Delivered, Outcome::Delivered]
    );
    let mails = server.join().unwrap();
    let heads: Vec<_> = mails
        .iter()
        .map(|mail| ["Message-ID", "References", "In-Reply-To", "Subject"].map(|name| header(mail, name)))
        .collect();
    let thread = vec!["<a1@example.com>"];
    let subject = vec!["[high] Metadata Asked on web-1"];
    assert_eq!(
        heads[0],
        [
            vec!["<a1.1@example.com>"],
            thread.clone(),
            thread.clone(),
            subject.clone()
        ]
    );
    assert_eq!(
        heads[1],
        [vec!["<a1.2@example.com>"], thread.clone(), thread, subject]
    );
    assert_eq!(heads[2][1], Vec::<&str>::new());
    assert_eq!(heads[2][3], ["[high] Metadata Asked (812 alerts)"]);
    for part in [
        "multipart/alternative",
        "text/plain",
        "text/html",
        "T1552.005",
        "https://neph.example/alerts/a1",
    ] {
        assert!(mails[0].replace("=\n", "").contains(part), "{part}: {}", mails[0]);
    }
    assert!(mails[1].contains("(updated)"));
    assert_eq!(header(&mails[0], "Auto-Submitted"), ["auto-generated"]);
}

#[test]
fn nothing_that_a_log_holds_becomes_a_header_or_a_link() {
    let (address, server) = server(&["250 taken"]);
    let mut transport = mail::open(&output(&address, None)).unwrap();
    let mut record = record(EVIL);
    record.alert.rule_name = format!("{EVIL}{}", "x".repeat(2000));
    assert_eq!(transport.send(&[message(&record)]), [Outcome::Delivered]);
    let mail = &server.join().unwrap()[0];
    assert_eq!(header(mail, "Bcc"), Vec::<&str>::new());
    let head = mail.split("\n\n").next().unwrap();
    assert!(
        head.lines()
            .all(|line| line.starts_with(' ')
                || line.split(':').next().is_some_and(|name| !name.contains(' '))),
        "{head}"
    );
    assert!(head.len() < 2000, "{head}");
    // One link, to the alert.
    assert_eq!(mail.replace("=\n", "").matches("<a href").count(), 1);
    assert!(!mail.contains("http://e.example"), "{mail}");
    let (_, page) = mail.split_once("text/html").unwrap();
    assert!(!page.contains("<b>x</b>"), "{page}");
}

#[test]
fn what_a_server_refuses_for_good_is_not_sent_again() {
    let (address, server) = server(&["451 later", "554 never", "550 never"]);
    let mut transport = mail::open(&output(&address, None)).unwrap();
    let record = record("www-data");
    let outcome = |transport: &mut Box<dyn crate::Transport>| transport.send(&[message(&record)]).remove(0);
    assert!(matches!(outcome(&mut transport), Outcome::Later { why, .. } if why.contains("later")));
    assert!(matches!(outcome(&mut transport), Outcome::Never { why } if why.contains("never")));
    assert!(matches!(outcome(&mut transport), Outcome::Never { .. }));
    server.join().unwrap();
    assert!(matches!(outcome(&mut transport), Outcome::Later { .. }));
}

#[test]
fn a_template_makes_the_text() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mail.txt");
    std::fs::write(&path, "Look: {{ rule.name }}\n{{ reason }}\n").unwrap();
    let (address, server) = server(&["250 taken"]);
    let mut transport = mail::open(&output(&address, Some(path))).unwrap();
    assert_eq!(
        transport.send(&[message(&record("www-data"))]),
        [Outcome::Delivered]
    );
    let mail = &server.join().unwrap()[0];
    assert!(
        mail.contains("Look: Metadata Asked\n`www-data` ran curl"),
        "{mail}"
    );
    assert!(!mail.contains("text/html"));
}

#[test]
fn addresses_that_are_none_are_told() {
    let mut wrong = output("127.0.0.1:25", None);
    if let OutputKind::Mail { to, .. } = &mut wrong.kind {
        to[0] = "soc@example.com\r\nBcc: eve@example.com".to_owned();
    }
    assert!(mail::open(&wrong).is_err());
    let found = crate::check::check(&[wrong, output("127.0.0.1:25", None)], "", super::instant(0));
    let messages: Vec<&str> = found.diagnostics.iter().map(|one| one.message.as_str()).collect();
    assert_eq!(
        messages,
        ["`soc@example.com  Bcc: eve@example.com` is no address of mail"]
    );
    assert!(mail::open(&output("127.0.0.1", None)).is_err());
}
