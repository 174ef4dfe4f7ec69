//! Serves every protocol into a log folder. When its standard input ends it prints what it counted, and writes what the log
//! holds to `FOLDER/records.txt`, a line a record, with its stream before it:
//! `cargo run -p neph-ingest --example ingest -- FOLDER HTTP-ADDRESS SYSLOG-ADDRESS TOKEN [FILES…]`.

#![expect(clippy::print_stdout, reason = "printing is what it is for")]

use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Read as _, Write as _};
use std::path::PathBuf;
use std::sync::Arc;

use neph_ingest::{
    Counts, FileGroup, FollowOptions, Intake, Limits, Sink, Tokens, follow, router, serve, shutdown, syslog,
};
use neph_store::{Store, StoreOptions};
use tokio::net::{TcpListener, UdpSocket};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, http, syslog_address, token, files @ ..] = arguments.as_slice() else {
        return Err("FOLDER HTTP-ADDRESS SYSLOG-ADDRESS TOKEN [FILES…]".into());
    };
    let folder = PathBuf::from(folder);
    let (store, _) = Store::open(&folder, &StoreOptions::default())?;
    let sink: Arc<dyn Sink> = Arc::clone(&store.log) as Arc<dyn Sink>;
    let gate = Arc::new(Tokens::new([("example", token.as_str())]));
    let counts = Arc::new(Counts::default());
    let intake = Intake::new(sink, gate, Limits::default(), Arc::clone(&counts));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let (stopper, stop) = shutdown();
    runtime.block_on(async {
        let listener = TcpListener::bind(http).await?;
        let over_tcp = TcpListener::bind(syslog_address).await?;
        let over_udp = UdpSocket::bind(syslog_address).await?;
        println!(
            "http {} tcp {} udp {}",
            listener.local_addr()?,
            over_tcp.local_addr()?,
            over_udp.local_addr()?
        );
        let mut tasks = vec![
            tokio::spawn(serve(
                listener,
                None,
                router(&intake),
                Limits::default(),
                stop.clone(),
            )),
            tokio::spawn(syslog::tcp(
                over_tcp,
                None,
                syslog::Allowed::default(),
                intake.clone(),
                stop.clone(),
            )),
            tokio::spawn(syslog::udp(
                over_udp,
                syslog::Allowed::default(),
                intake.clone(),
                stop.clone(),
            )),
        ];
        if !files.is_empty() {
            let group = FileGroup {
                paths: files.iter().map(PathBuf::from).collect(),
                ..FileGroup::default()
            };
            let options = FollowOptions::new(vec![group], folder.join("files.json"));
            tasks.push(tokio::spawn(follow(
                options,
                Arc::clone(&store.log),
                intake.clone(),
                stop.clone(),
            )));
        }
        // Whoever started it closes its standard input to stop it.
        tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await??;
        stopper.stop();
        for task in tasks {
            task.await??;
        }
        Ok::<_, Box<dyn Error>>(())
    })?;
    for row in counts.rows() {
        println!("{row:?}");
    }
    let mut out = BufWriter::new(File::create(folder.join("records.txt"))?);
    for block in store.log.blocks(store.log.begin()) {
        let block = block?;
        for record in block.records.iter() {
            let text = String::from_utf8_lossy(record).replace('\n', " ");
            writeln!(out, "{}\t{text}", block.stream)?;
        }
    }
    out.flush()?;
    Ok(())
}
