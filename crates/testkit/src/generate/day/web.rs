//! Access logs of the shop, with the noise that everything on the internet hears.

use neph_event::Instant;

use super::{Life, SECOND};

const FILE: &str = "/var/log/nginx/access.log";
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

fn request(
    life: &mut Life<'_>,
    time: i64,
    address: &str,
    target: &str,
    (status, bytes): (u16, u64),
    agent: &str,
) {
    let iso = Instant::from_millis(time).to_string();
    let part = |from: usize, to: usize| iso.get(from..to).unwrap_or_default();
    let month = part(5, 7)
        .parse()
        .ok()
        .and_then(|month: usize| MONTHS.get(month.checked_sub(1)?))
        .unwrap_or(&"Jan");
    let stamp = format!("{}/{month}/{}:{} +0000", part(8, 10), part(0, 4), part(11, 19));
    let line =
        format!("{address} - - [{stamp}] \"GET {target} HTTP/1.1\" {status} {bytes} \"-\" \"{agent}\"");
    let host = format!("edge-{}", life.random.below(4));
    life.tell_line(time, "nginx", &host, FILE, &line);
}

/// What scanners try, none of it with success.
const PROBES: &[(&str, u16)] = &[
    ("/.env", 404),
    ("/.git/config", 404),
    ("/wp-login.php", 404),
    ("/latest/meta-data/", 404),
    ("/?url=http://169.254.169.254/latest/meta-data/", 403),
    (
        "/proxy?url=http%3A%2F%2F169.254.169.254%2Flatest%2Fmeta-data%2Fiam%2Fsecurity-credentials%2F",
        404,
    ),
    (
        "/fetch?uri=http://metadata.google.internal/computeMetadata/v1/",
        404,
    ),
    ("/image?src=http%253A%252F%252F169.254.169.254%252F", 400),
    ("/containers/json", 404),
    ("/v1.24/containers/json?all=1", 404),
    ("/api/v1/pods", 404),
    ("/v2/_catalog", 401),
    ("/actuator/env", 404),
];

pub(super) fn live(life: &mut Life<'_>) {
    const BROWSER: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1";
    for _ in 0..life.often(200_000).max(600) {
        let time = life.any_time();
        let address = format!(
            "{}.{}.{}.{}",
            31 + life.random.below(150),
            life.random.below(250),
            life.random.below(250),
            life.random.below(250)
        );
        let target = match life.random.below(5) {
            0 => "/".to_owned(),
            1 => format!("/products/{}", life.random.below(9000)),
            2 => "/api/cart".to_owned(),
            3 => format!("/search?q=lamp&page={}", life.random.below(30)),
            // A shop hands addresses on: to come back to, to show pictures of.
            _ => "/login?return=https%3A%2F%2Fshop.corp.example%2Faccount&img=https://cdn.corp.example/a.jpg"
                .to_owned(),
        };
        let size = 500 + life.random.below(40_000);
        request(life, time, &address, &target, (200, size), BROWSER);
    }
    for scanner in 0..12_u64 {
        let time = life.any_time();
        let address = format!("45.{}.{}.7", 80 + scanner, 10 + u64::from(life.day));
        for (number, (target, status)) in (0..).zip(PROBES) {
            request(
                life,
                time + number * SECOND,
                &address,
                target,
                (*status, 153),
                "Mozilla/5.0 zgrab/0.x",
            );
        }
    }
    // The company's own test of its doors, each week.
    if life.day % 7 == 2 {
        let time = life.at_hour(5);
        for (number, (target, status)) in (0..).zip(PROBES) {
            request(
                life,
                time + number * SECOND,
                "203.0.113.240",
                target,
                (*status, 153),
                "Nuclei - Open-source project (github.com/projectdiscovery/nuclei)",
            );
        }
    }
}
