use crate::normalizer::Normalizer;

/// What a line becomes: its source and some fields, `field=value` by blanks.
fn check(lines: &[&str], source: &str, fields: &[(&str, &str)]) {
    let mut normalizer = Normalizer::new(None).unwrap();
    for line in lines.iter().take(lines.len() - 1) {
        assert!(normalizer.push(line.as_bytes()).documents.is_empty(), "{line}");
    }
    let line = lines.last().unwrap();
    let outcome = normalizer.push(line.as_bytes());
    assert_eq!(outcome.documents.len(), 1, "{line}: {:?}", outcome.refused);
    let made = &outcome.documents[0];
    assert_eq!(made.source.name, source, "{line}");
    let document: serde_json::Value = serde_json::from_slice(&made.document.to_json()).unwrap();
    for (field, expected) in fields {
        let value = field.split('.').fold(&document, |value, key| &value[key]);
        let text = match value {
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        assert_eq!(&text, expected, "{field} of {line}\n{document:#}");
    }
}

const SSRF: (&str, &str) = (
    "url.original",
    "/fetch?url=http%3A%2F%2F169.254.169.254%2Flatest%2Fmeta-data%2F",
);

#[test]
fn combined_and_common_logs_are_read() {
    check(
        &[
            r#"198.51.100.7 - alice [21/Nov/2026:19:36:56 +0100] "GET /fetch?url=http%3A%2F%2F169.254.169.254%2Flatest%2Fmeta-data%2F HTTP/1.1" 200 841 "https://shop.test/" "curl/7.88.1 (\"x\")""#,
        ],
        "apache_access",
        &[
            SSRF,
            ("@timestamp", "2026-11-21T18:36:56.000Z"),
            (
                "neph.url.decoded",
                "/fetch?url=http://169.254.169.254/latest/meta-data/",
            ),
            ("neph.url.hosts", "[\"169.254.169.254\"]"),
            ("url.path", "/fetch"),
            (
                "url.query",
                "url=http%3A%2F%2F169.254.169.254%2Flatest%2Fmeta-data%2F",
            ),
            ("http.request.method", "GET"),
            ("http.version", "1.1"),
            ("http.response.status_code", "200"),
            ("http.response.body.bytes", "841"),
            ("http.request.referrer", "https://shop.test/"),
            ("user_agent.original", "curl/7.88.1 (\\\"x\\\")"),
            ("user.name", "alice"),
            ("source.ip", "198.51.100.7"),
            ("event.outcome", "success"),
            ("event.category", "[\"web\"]"),
            ("event.dataset", "apache.access"),
            ("related.ip", "[\"198.51.100.7\"]"),
            ("related.user", "[\"alice\"]"),
        ],
    );
    check(
        &[r#"www.shop.test:443 2001:db8::7 - - [01/Feb/2026:00:00:00 +0000] "POST /a.php HTTP/1.0" 404 -"#],
        "apache_access",
        &[
            ("url.domain", "www.shop.test"),
            ("url.port", "443"),
            ("url.extension", "php"),
            ("source.ip", "2001:db8::7"),
            ("event.outcome", "failure"),
            ("http.response.body.bytes", "null"),
        ],
    );
    check(
        &[r#"198.51.100.7 - - [01/Feb/2026:00:00:00 +0000] "\x16\x03\x01" 400 157 "-" "-""#],
        "apache_access",
        &[
            ("url.original", "null"),
            ("http.request.method", "null"),
            ("user_agent.original", "null"),
        ],
    );
    check(
        &[r#"198.51.100.7 - - [01/Feb/2026:00:00:00 +0000] "GET / HTTP/1.1" 200 3 "-" "x" "203.0.113.9""#],
        "nginx_access",
        &[
            ("network.forwarded_ip", "203.0.113.9"),
            ("event.dataset", "nginx.access"),
        ],
    );
    check(
        &[
            r#"198.51.100.7 - - [01/Feb/2026:00:00:00 +0000] "GET / HTTP/2.0" 200 3 "-" "x" 421 0.005 [shop-web-80] [] 10.1.2.3:8080 3 0.005 200 0a1b2c3d"#,
        ],
        "nginx_access",
        &[
            ("http.request.id", "0a1b2c3d"),
            ("event.duration", "5000000"),
            ("http.request.bytes", "421"),
        ],
    );
    check(
        &[
            r#"{"time_iso8601":"2026-11-21T19:36:56+00:00","remote_addr":"198.51.100.7","request":"GET /a?b=1 HTTP/1.1","status":"503","body_bytes_sent":"12","request_time":"0.25","http_user_agent":"x","host":"shop.test"}"#,
        ],
        "nginx_access",
        &[
            ("@timestamp", "2026-11-21T19:36:56.000Z"),
            ("url.query", "b=1"),
            ("url.domain", "shop.test"),
            ("event.outcome", "failure"),
            ("event.duration", "250000000"),
        ],
    );
}

#[test]
fn logs_of_proxies_are_read() {
    check(
        &[
            "1795289642.779    180 192.0.2.24 TCP_MISS/200 411 GET http://169.254.169.254/latest/meta-data/ alice HIER_DIRECT/203.0.113.93 text/plain",
        ],
        "squid_access",
        &[
            ("@timestamp", "2026-11-21T19:34:02.779Z"),
            ("url.original", "http://169.254.169.254/latest/meta-data/"),
            ("url.domain", "169.254.169.254"),
            ("url.scheme", "http"),
            ("url.path", "/latest/meta-data/"),
            ("destination.ip", "203.0.113.93"),
            ("event.action", "TCP_MISS"),
            ("event.duration", "180000000"),
            ("user.name", "alice"),
        ],
    );
    check(
        &[
            "1795289642.779      0 192.0.2.24 TCP_DENIED/403 3822 CONNECT shop.test:443 - HIER_NONE/- text/html",
        ],
        "squid_access",
        &[
            ("url.domain", "shop.test"),
            ("url.port", "443"),
            ("event.outcome", "failure"),
            ("destination", "null"),
        ],
    );
    check(
        &[
            r#"198.51.100.7 - - [21/Nov/2026:19:36:56 +0000] "GET /api?x=1 HTTP/1.1" 200 17 "-" "Go-http-client/1.1" 34 "api@docker" "http://10.0.0.2:80" 1ms"#,
        ],
        "traefik_access",
        &[
            ("traefik.access.frontend_name", "api@docker"),
            ("event.duration", "1000000"),
            ("url.query", "x=1"),
            ("@timestamp", "2026-11-21T19:36:56.000Z"),
        ],
    );
    check(
        &[
            r#"{"ClientAddr":"198.51.100.7:5000","ClientHost":"198.51.100.7","ClientUsername":"-","DownstreamContentSize":17,"DownstreamStatus":401,"Duration":1500,"RequestHost":"shop.test","RequestMethod":"GET","RequestPath":"/a?b","RequestProtocol":"HTTP/2.0","StartUTC":"2026-11-21T19:36:56.5Z","request_User-Agent":"x","level":"info","msg":"","time":"2026-11-21T19:36:57Z"}"#,
        ],
        "traefik_access",
        &[
            ("url.domain", "shop.test"),
            ("url.original", "/a?b"),
            ("http.version", "2.0"),
            ("user.name", "null"),
            ("user_agent.original", "x"),
            ("event.duration", "1500"),
            ("@timestamp", "2026-11-21T19:36:56.500Z"),
        ],
    );
    check(
        &[
            r#"[2026-11-21T19:36:56.123Z] "POST /api/v1?m=latest/meta-data HTTP/2" 200 - 154 0 226 100 "10.0.35.28, 10.0.0.1" "nsq2http" "cc21d9b0-cf5c" "locations" "tcp://10.0.2.1:80""#,
        ],
        "envoy_access",
        &[
            ("url.query", "m=latest/meta-data"),
            ("source.ip", "10.0.35.28"),
            ("url.domain", "locations"),
            ("http.request.body.bytes", "154"),
            ("event.duration", "226000000"),
        ],
    );
    check(
        &[
            r#"[2026-11-21T19:36:56.123Z] "GET /status/418 HTTP/1.1" 418 - via_upstream - "-" 0 135 4 4 "-" "curl/7.73.0" "84961386" "httpbin:8000" "10.44.1.27:80" outbound|8000||httpbin 10.44.1.23:37652 10.0.45.184:8000 10.44.1.23:46520 - default"#,
        ],
        "envoy_access",
        &[
            ("source.ip", "10.44.1.23"),
            ("source.port", "46520"),
            ("destination.ip", "10.44.1.27"),
            ("url.domain", "httpbin"),
            ("event.outcome", "failure"),
        ],
    );
    check(
        &[
            r#"{"start_time":"2026-11-21T19:36:56.123Z","method":"GET","path":"/x?y","protocol":"HTTP/1.1","response_code":200,"response_flags":"-","bytes_sent":5,"duration":4,"authority":"a.test","downstream_remote_address":"10.1.1.1:99","upstream_host":"10.2.2.2:80","user_agent":"u"}"#,
        ],
        "envoy_access",
        &[
            ("url.query", "y"),
            ("source.port", "99"),
            ("envoyproxy.response_flags", "-"),
        ],
    );
}

#[test]
fn logs_of_amazon_are_read() {
    check(
        &[
            r#"https 2026-11-21T19:36:56.186641Z app/shop/50dc6c495c0c9188 198.51.100.7:2817 10.0.0.1:80 0.086 0.048 0.037 200 200 0 57 "GET https://www.shop.test:443/a?u=http://169.254.169.254/ HTTP/1.1" "curl/7.46.0" ECDHE-RSA-AES128-GCM-SHA256 TLSv1.2 arn:aws:elasticloadbalancing:us-east-2:111111111111:targetgroup/t/73e2 "Root=1-58337281-1d84" "www.shop.test" "arn:aws:acm:c" 1 2026-11-21T19:36:56.364000Z "authenticate,forward" "-" "-" "10.0.0.1:80" "200" "-" "-""#,
        ],
        "aws_elb",
        &[
            (
                "url.original",
                "https://www.shop.test:443/a?u=http://169.254.169.254/",
            ),
            ("url.query", "u=http://169.254.169.254/"),
            ("url.domain", "www.shop.test"),
            ("url.port", "443"),
            ("source.ip", "198.51.100.7"),
            ("source.port", "2817"),
            ("tls.version", "1.2"),
            ("aws.elb.backend.port", "80"),
            ("@timestamp", "2026-11-21T19:36:56.186Z"),
            ("event.dataset", "aws.elb_logs"),
        ],
    );
    check(
        &[
            r#"2026-11-21T19:36:56.945958Z my-lb 198.51.100.7:2817 10.0.0.1:80 0.000073 0.001048 0.000057 200 200 0 29 "GET http://www.shop.test:80/ HTTP/1.1" "curl/7.38.0" - -"#,
        ],
        "aws_elb",
        &[
            ("aws.elb.name", "my-lb"),
            ("url.path", "/"),
            ("user_agent.original", "curl/7.38.0"),
        ],
    );
    check(
        &[
            r#"79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be shop-bucket [06/Feb/2026:00:00:38 +0000] 198.51.100.7 arn:aws:iam::111111111111:user/ops 3E57427F3EXAMPLE REST.GET.OBJECT db.sql "GET /shop-bucket/db.sql?x-id=GetObject HTTP/1.1" 403 AccessDenied 113 - 7 - "-" "S3Console/0.4" - s9lzHYrFp76ZVxRcpX9 SigV4 ECDHE-RSA-AES128-GCM-SHA256 AuthHeader shop-bucket.s3.amazonaws.com TLSv1.2 - -"#,
        ],
        "aws_s3access",
        &[
            ("event.action", "REST.GET.OBJECT"),
            ("event.code", "AccessDenied"),
            ("aws.s3access.key", "db.sql"),
            ("url.extension", "sql"),
            ("client.ip", "198.51.100.7"),
            ("user.id", "arn:aws:iam::111111111111:user/ops"),
            ("event.outcome", "failure"),
        ],
    );
    check(
        &[
            r#"{"timestamp":1795289642870,"formatVersion":1,"webaclId":"arn:aws:wafv2:us-east-1:111111111111:regional/webacl/w/1","terminatingRuleId":"ssrf","terminatingRuleType":"REGULAR","action":"BLOCK","httpSourceName":"ALB","httpRequest":{"clientIp":"198.51.100.7","country":"DE","headers":[{"name":"Host","value":"shop.test"},{"name":"User-Agent","value":"curl/8"}],"uri":"/fetch","args":"url=http://169.254.169.254/","httpVersion":"HTTP/1.1","httpMethod":"GET","requestId":"r"}}"#,
        ],
        "aws_waf",
        &[
            ("@timestamp", "2026-11-21T19:34:02.870Z"),
            ("url.original", "/fetch?url=http://169.254.169.254/"),
            ("url.query", "url=http://169.254.169.254/"),
            ("user_agent.original", "curl/8"),
            ("url.domain", "shop.test"),
            ("event.type", "[\"access\",\"denied\"]"),
            ("event.outcome", "failure"),
            ("cloud.account.id", "111111111111"),
        ],
    );
    check(
        &[
            "#Fields: date time x-edge-location sc-bytes c-ip cs-method cs(Host) cs-uri-stem sc-status cs(Referer) cs(User-Agent) cs-uri-query\n2026-11-21\t19:36:56\tLAX1\t2390282\t198.51.100.7\tGET\td1.cloudfront.net\t/a.html\t200\t-\tMozilla/4.0%20(x)\tk=v",
        ],
        "aws_cloudfront",
        &[
            ("url.original", "/a.html?k=v"),
            ("url.domain", "d1.cloudfront.net"),
            ("user_agent.original", "Mozilla/4.0 (x)"),
            ("aws.cloudfront.edge_location", "LAX1"),
            ("cloud.provider", "aws"),
        ],
    );
}

#[test]
fn rows_are_read_by_the_names_of_their_columns() {
    let row = "2026-11-21 19:36:56 10.0.0.5 GET /iis/page.aspx url=http://169.254.169.254/latest 443 CORP\\ops 198.51.100.7 Mozilla/5.0+(x) - 200 0 0 15";
    let fields = [
        ("url.original", "/iis/page.aspx?url=http://169.254.169.254/latest"),
        ("url.query", "url=http://169.254.169.254/latest"),
        ("url.extension", "aspx"),
        ("user.name", "CORP\\ops"),
        ("user_agent.original", "Mozilla/5.0 (x)"),
        ("destination.port", "443"),
        ("event.duration", "15000000"),
        ("host.os.type", "windows"),
    ];
    check(&[row], "iis_access", &fields);
    let joined = format!(
        "#Fields: date time cs-uri-stem sc-status cs-method c-ip cs-host\n{}",
        "2026-11-21 19:36:56 /a 500 PUT 198.51.100.7 shop.test"
    );
    check(
        &[&joined],
        "iis_access",
        &[
            ("url.path", "/a"),
            ("url.domain", "shop.test"),
            ("http.response.status_code", "500"),
            (
                "event.original",
                "2026-11-21 19:36:56 /a 500 PUT 198.51.100.7 shop.test",
            ),
            ("event.outcome", "failure"),
        ],
    );
    check(
        &["#Software: Microsoft Internet Information Services 10.0", row],
        "iis_access",
        &fields,
    );
}

#[test]
fn lines_of_other_logs_are_not_taken() {
    for line in [
        "2026/11/21 19:36:56 [error] 1#1: *1 open() \"/x\" failed (2: No such file or directory)",
        "2026-11-21 19:36:56 INFO something happened with 15 words in it so that it looks like a row",
        "#Fields: ts uid id.orig_h",
        "Nov 21 19:36:56 host sshd[1]: Accepted publickey for root from 198.51.100.7 port 1 ssh2",
        "1795289642.779 hello",
        "[2026-11-21T19:36:56.123Z] \"GET / HTTP/1.1\" 200",
        "http 2026-11-21T19:36:56.123Z nothing",
    ] {
        let mut normalizer = Normalizer::new(None).unwrap();
        let outcome = normalizer.push(line.as_bytes());
        let web = outcome
            .documents
            .iter()
            .any(|made| made.source.title.contains("ccess log"));
        assert!(!web, "{line}");
    }
}
