//! A service as a child process, and a client of it.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

/// How long anything may take on a machine that has other things to do.
const PATIENCE: Duration = Duration::from_secs(120);

/// A configuration that asks for no more free space than a test needs.
pub(crate) const LITTLE_FREE: &str = "[retention]\nkeep_free = \"1MiB\"\n";

/// A service that runs.
pub(crate) struct Running {
    child: Child,
    pub(crate) base: String,
    pub(crate) token: String,
    said: Arc<Mutex<String>>,
    agent: ureq::Agent,
}

/// Asks until there is an answer.
pub(crate) fn wait_for<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(began.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

impl Running {
    /// Starts a service on a data folder, on a free port. Without a configuration of the test's own it has one that asks for less
    /// free space, so that nothing depends on what else fills the machine's disk.
    pub(crate) fn start(data: &Path, more: &[&str]) -> Self {
        if !more.contains(&"--config") {
            let folder = data.parent().expect("a folder around");
            std::fs::write(folder.join("neph.toml"), LITTLE_FREE).expect("a file");
        }
        let address = data.join("address");
        let _ = std::fs::remove_file(&address);
        let mut child = Command::new(env!("CARGO_BIN_EXE_neph"))
            .arg("serve")
            .args(["--listen", "127.0.0.1:0", "--data"])
            .arg(data)
            .args(more)
            .current_dir(data.parent().expect("a folder around"))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let said = Arc::new(Mutex::new(String::new()));
        let (heard, stderr) = (Arc::clone(&said), child.stderr.take().expect("a pipe"));
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let mut text = heard.lock().expect("whole");
                text.push_str(&line);
                text.push('\n');
            }
        });
        let base = wait_for("the service's address", || {
            if let Some(status) = child.try_wait().expect("a child") {
                panic!("the service ended with {status}: {}", said.lock().expect("whole"));
            }
            std::fs::read_to_string(&address)
                .ok()
                .filter(|text| text.ends_with('\n'))
        });
        let token = std::fs::read_to_string(data.join("token")).unwrap_or_default();
        Self {
            child,
            base: base.trim().to_owned(),
            token: token.trim().to_owned(),
            said,
            agent: ureq::Agent::config_builder()
                .http_status_as_error(false)
                .timeout_global(Some(PATIENCE))
                .build()
                .into(),
        }
    }

    /// What it said on standard error.
    pub(crate) fn said(&self) -> String {
        self.said.lock().expect("whole").clone()
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .arg(format!("-{name}"))
            .arg(self.child.id().to_string())
            .status();
        assert!(sent.expect("kill starts").success());
    }

    /// Ends it in order.
    pub(crate) fn end(mut self) -> String {
        self.signal("TERM");
        let status = self.child.wait().expect("a child");
        assert_eq!(status.code(), Some(0), "{}", self.said());
        self.said()
    }

    /// Ends it at once, as a crash would.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("a child");
        self.child.wait().expect("a child");
    }

    /// A request with a token, or without; gives status and body.
    pub(crate) fn ask(
        &self,
        method: &str,
        path: &str,
        token: Option<&str>,
        body: Option<(&str, &[u8])>,
    ) -> (u16, Vec<u8>) {
        let mut request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base));
        if let Some(token) = token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        if let Some((kind, _)) = body {
            request = request.header("Content-Type", kind);
        }
        let bytes = body.map_or(&[][..], |(_, bytes)| bytes).to_vec();
        let answer = match body.is_some() || method == "POST" || method == "PUT" {
            true => self.agent.run(request.body(bytes).expect("a request")),
            false => self.agent.run(request.body(()).expect("a request")),
        };
        let mut answer = answer.unwrap_or_else(|error| panic!("{method} {path}: {error}\n{}", self.said()));
        let status = answer.status().as_u16();
        (status, answer.body_mut().read_to_vec().unwrap_or_default())
    }

    /// JSON for a path.
    pub(crate) fn get(&self, path: &str) -> Value {
        let (status, body) = self.ask("GET", path, Some(&self.token), None);
        assert_eq!(status, 200, "{path}: {}", String::from_utf8_lossy(&body));
        serde_json::from_slice(&body).expect("JSON")
    }

    /// JSON for a path and a body; gives the status, too.
    pub(crate) fn send(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let bytes = body.to_string();
        let (status, body) = self.ask(
            method,
            path,
            Some(&self.token),
            Some(("application/json", bytes.as_bytes())),
        );
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }

    /// Sends documents by `_bulk`; all must be taken.
    pub(crate) fn bulk(&self, documents: &[(String, Value)]) {
        let mut body = String::new();
        for (id, document) in documents {
            body.push_str(&format!(
                "{{\"create\":{{\"_index\":\"logs-endpoint.events.process-default\",\"_id\":\"{id}\"}}}}\n{document}\n"
            ));
        }
        let (status, answer) = self.ask(
            "POST",
            "/_bulk",
            Some(&self.token),
            Some(("application/x-ndjson", body.as_bytes())),
        );
        let answer: Value = serde_json::from_slice(&answer).expect("JSON");
        assert_eq!(
            (status, &answer["errors"]),
            (200, &Value::Bool(false)),
            "{answer}"
        );
    }

    /// Ids of all alerts, with the names of their rules, ascending.
    pub(crate) fn alerts(&self) -> Vec<(String, String)> {
        let page = self.get("/api/v1/alerts?limit=1000");
        let text = |alert: &Value, key: &str| alert[key].as_str().expect("text").to_owned();
        let mut found: Vec<_> = page["alerts"]
            .as_array()
            .expect("alerts")
            .iter()
            .map(|alert| (text(alert, "rule_name"), text(alert, "id")))
            .collect();
        found.sort();
        found
    }

    /// Waits until all that was received is evaluated and committed.
    pub(crate) fn settle(&self) {
        wait_for("the pipeline", || {
            let status = self.get("/api/v1/status");
            (status["pending_bytes"] == 0).then_some(())
        });
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
