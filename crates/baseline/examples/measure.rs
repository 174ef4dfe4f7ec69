//! How long a large account takes, and how much memory.
//!
//! ```sh
//! cargo run --release -p neph-baseline --example measure -- generate /tmp/big 100000 10000
//! cargo run --release -p neph-baseline --example measure -- run /tmp/big
//! ```
//!
//! `generate` writes what the tool of AWS prints for so many snapshots and images in four regions, once as they are and once as they are a
//! week later: in another order, with one in a hundred new, gone, changed or shared. `run` takes a baseline of the first, reads it
//! again, and reviews the second.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use jiff::Timestamp;
use neph_baseline::{Approvals, Baseline, Collected, Standing, alert, review};
use neph_inventory::{Folder, Limits};

const REGIONS: [&str; 4] = ["eu-west-1", "eu-central-1", "us-east-1", "ap-southeast-2"];

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn main() -> Outcome {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["generate", folder, snapshots, images] => {
            for (name, later) in [("before", false), ("after", true)] {
                generate(
                    &Path::new(folder).join(name),
                    snapshots.parse()?,
                    images.parse()?,
                    later,
                )?;
            }
            Ok(())
        }
        ["run", folder] => run(Path::new(folder)),
        _ => Err("generate FOLDER SNAPSHOTS IMAGES, or run FOLDER".into()),
    }
}

fn generate(folder: &Path, snapshots: usize, images: usize, later: bool) -> Outcome {
    for (place, region) in REGIONS.into_iter().enumerate() {
        let folder = folder.join("aws/111122223333").join(region);
        std::fs::create_dir_all(&folder)?;
        let numbers = |count: usize| {
            let own: Vec<usize> = (0..count)
                .filter(|number| number % REGIONS.len() == place)
                .collect();
            let order: Vec<usize> = if later {
                own.into_iter().rev().collect()
            } else {
                own
            };
            // One in four hundred is gone, and as many come.
            order
                .into_iter()
                .filter_map(move |number| match (number / 4) % 400 {
                    7 if later => Some(number + 10 * count),
                    9 if later => None,
                    _ => Some(number),
                })
        };
        let mut out = BufWriter::new(std::fs::File::create(folder.join("ec2-describe-snapshots.json"))?);
        write!(out, "{{\n    \"Snapshots\": [")?;
        for (at, number) in numbers(snapshots).enumerate() {
            let team = if later && (number / 4) % 400 == 11 {
                "other"
            } else {
                "data"
            };
            write!(
                out,
                "{}\n        {{\n            \"StorageTier\": \"standard\",\n            \"TransferType\": \"standard\",\n            \
                 \"CompletionTime\": \"2026-10-01T03:20:41.203000+00:00\",\n            \"FullSnapshotSizeInBytes\": {number},\n            \
                 \"SnapshotId\": \"snap-{number:017x}\",\n            \"VolumeId\": \"vol-{:017x}\",\n            \"State\": \"completed\",\n            \
                 \"StartTime\": \"2026-10-01T03:10:41.203000+00:00\",\n            \"Progress\": \"100%\",\n            \"OwnerId\": \"111122223333\",\n            \
                 \"Description\": \"Created by CreateImage(i-{number:017x}) for ami-{number:017x}\",\n            \"VolumeSize\": 100,\n            \"Encrypted\": true,\n            \
                 \"KmsKeyId\": \"arn:aws:kms:{region}:111122223333:key/0a0a0a0a-1b1b-2c2c-3d3d-4e4e4e4e4e4e\",\n            \"Tags\": [\n                \
                 {{\n                    \"Key\": \"Name\",\n                    \"Value\": \"database-{number}\"\n                }},\n                \
                 {{\n                    \"Key\": \"team\",\n                    \"Value\": \"{team}\"\n                }}\n            ]\n        }}",
                if at == 0 { "" } else { "," },
                number % 5000,
            )?;
        }
        writeln!(out, "\n    ]\n}}")?;
        let mut out = BufWriter::new(std::fs::File::create(
            folder.join("ec2-describe-snapshot-attribute.json"),
        )?);
        for number in numbers(snapshots) {
            let with = match later && (number / 4) % 400 == 13 {
                true => "[{\"UserId\": \"999988887777\"}]",
                false => "[]",
            };
            writeln!(
                out,
                "{{\n    \"CreateVolumePermissions\": {with},\n    \"ProductCodes\": [],\n    \"SnapshotId\": \"snap-{number:017x}\"\n}}"
            )?;
        }
        let mut out = BufWriter::new(std::fs::File::create(folder.join("ec2-describe-images.json"))?);
        write!(out, "{{\n    \"Images\": [")?;
        for (at, number) in numbers(images).enumerate() {
            write!(
                out,
                "{}\n        {{\n            \"PlatformDetails\": \"Linux/UNIX\",\n            \"UsageOperation\": \"RunInstances\",\n            \
                 \"BlockDeviceMappings\": [{{\"Ebs\": {{\"DeleteOnTermination\": true, \"SnapshotId\": \"snap-{number:017x}\", \"VolumeSize\": 8, \"VolumeType\": \"gp3\", \"Encrypted\": false}}, \"DeviceName\": \"/dev/xvda\"}}],\n            \
                 \"EnaSupport\": true,\n            \"Hypervisor\": \"xen\",\n            \"Name\": \"web-{number}\",\n            \"RootDeviceType\": \"ebs\",\n            \
                 \"ImageId\": \"ami-{number:017x}\",\n            \"State\": \"available\",\n            \"OwnerId\": \"111122223333\",\n            \
                 \"CreationDate\": \"2026-09-01T10:00:00.000Z\",\n            \"Public\": false,\n            \"Architecture\": \"x86_64\",\n            \"ImageType\": \"machine\"\n        }}",
                if at == 0 { "" } else { "," },
            )?;
        }
        writeln!(out, "\n    ]\n}}")?;
    }
    Ok(())
}

fn run(folder: &Path) -> Outcome {
    let mut out = std::io::stdout().lock();
    let collected = |name: &str| Collected::read(&Folder::open(&[folder.join(name)], &Limits::default()));
    let taken: Timestamp = "2026-11-01T00:00:00Z".parse()?;
    let whole = Instant::now();
    let mut begin = Instant::now();
    let mut lap = |what: &str, out: &mut dyn Write| -> std::io::Result<()> {
        writeln!(
            out,
            "{what:<28} {:>6.2} s   peak {:>4} MiB",
            begin.elapsed().as_secs_f64(),
            peak()
        )?;
        begin = Instant::now();
        Ok(())
    };
    let before = Baseline::take(collected("before"), taken, "measure");
    lap("read what was collected", &mut out)?;
    let path: PathBuf = folder.join("measure.baseline.jsonl");
    before.save(&path)?;
    drop(before);
    lap("write the baseline", &mut out)?;
    let before = Baseline::read(std::fs::File::open(&path)?)?;
    lap("read the baseline", &mut out)?;
    let after = collected("after");
    lap("read what was collected", &mut out)?;
    let review = review(&before, &after, &Approvals::default(), "2026-11-22".parse()?);
    lap("compare", &mut out)?;
    let found = "2026-11-22T00:00:00Z".parse()?;
    let bytes: usize = review
        .findings
        .iter()
        .map(|one| alert(&one.difference, &[], &Standing::Open, found).reason.len())
        .sum();
    lap("make alerts", &mut out)?;
    writeln!(
        out,
        "{} records, {} findings ({bytes} bytes of reasons), {} on both sides, {:.2} s in all",
        after.records.len(),
        review.findings.len(),
        review.same,
        whole.elapsed().as_secs_f64()
    )?;
    Ok(())
}

/// The most memory that the process had, where the system tells; MiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) / 1024
}
