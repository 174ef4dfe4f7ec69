//! Which instance of which cloud this host is, by files that are on it: what cloud-init wrote down when the host started, what the firmware
//! says, or a file that the user gives. The metadata service is never asked: a sensor that reads it looks like what it is to find.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

/// What cloud-init wrote: the first has more in it and is root's.
/// <https://docs.cloud-init.io/en/latest/explanation/instancedata.html>
const FILES: &[&str] = &[
    "run/cloud-init/instance-data-sensitive.json",
    "run/cloud-init/instance-data.json",
];
/// Bytes of a file, at most.
const FILE: u64 = 16 << 20;
/// Bytes of a value, at most.
const TEXT: usize = 512;

/// Fields below `cloud`, and where the instance data of cloud-init, the identity document of an EC2 instance, and documents in ECS have them.
/// <https://www.elastic.co/docs/reference/ecs/ecs-cloud>
const FIELDS: &[(&str, &[&str])] = &[
    (
        "provider",
        &["/cloud/provider", "/v1/cloud_name", "/v1/cloud-name"],
    ),
    (
        "account.id",
        &[
            "/cloud/account/id",
            "/ds/dynamic/instance-identity/document/accountId",
            "/ds/meta_data/imds/compute/subscriptionId",
            "/accountId",
        ],
    ),
    ("account.name", &["/cloud/account/name"]),
    (
        "project.id",
        &[
            "/cloud/project/id",
            "/ds/meta_data/project_id",
            "/ds/meta_data/project-id",
        ],
    ),
    ("project.name", &["/cloud/project/name"]),
    (
        "region",
        &[
            "/cloud/region",
            "/v1/region",
            "/ds/meta_data/imds/compute/location",
            "/region",
        ],
    ),
    (
        "availability_zone",
        &[
            "/cloud/availability_zone",
            "/v1/availability_zone",
            "/v1/availability-zone",
            "/ds/meta_data/availability_zone",
            "/availabilityZone",
        ],
    ),
    (
        "instance.id",
        &[
            "/cloud/instance/id",
            "/v1/instance_id",
            "/v1/instance-id",
            "/instanceId",
        ],
    ),
    (
        "instance.name",
        &[
            "/cloud/instance/name",
            "/ds/meta_data/imds/compute/name",
            "/ds/meta_data/name",
        ],
    ),
    (
        "machine.type",
        &[
            "/cloud/machine/type",
            "/ds/meta_data/instance-type",
            "/ds/meta_data/instance_type",
            "/ds/meta_data/imds/compute/vmSize",
            "/ds/ec2_metadata/instance-type",
            "/instanceType",
        ],
    ),
    ("service.name", &["/cloud/service/name"]),
];

/// Where to look.
#[derive(Clone, Debug, Default)]
pub struct CloudOptions {
    /// A JSON file: the instance data of cloud-init, an EC2 instance's identity document, or an ECS document with `cloud`. Without it, the
    /// usual places are looked at.
    pub file: Option<PathBuf>,
}

/// Why it is not known which instance this is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CloudError {
    /// The file cannot be read.
    #[error("`{}` cannot be read: {source}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is none of the forms that are known.
    #[error("`{}` {problem}", .path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
}

/// The instance that this host is: the fields below `cloud` of its documents.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cloud(Map<String, Value>);

impl Cloud {
    /// Finds out which instance this is; `None` where nothing says so.
    ///
    /// # Errors
    ///
    /// If a file that was given, or that cloud-init wrote, cannot be understood.
    pub fn find(options: &CloudOptions) -> Result<Option<Self>, CloudError> {
        match &options.file {
            Some(file) => {
                let cloud = Self::read(file)?;
                if cloud.0.is_empty() {
                    return Err(CloudError::Form {
                        path: file.clone(),
                        problem: "says nothing about a cloud".to_owned(),
                    });
                }
                Ok(Some(cloud))
            }
            None => Self::below(Path::new("/")),
        }
    }

    /// Looks at the usual places below a root.
    fn below(root: &Path) -> Result<Option<Self>, CloudError> {
        let files = FILES.iter().map(|file| root.join(file));
        let mut refused = None;
        for file in files.filter(|file| file.exists()) {
            match Self::read(&file) {
                Ok(cloud) if !cloud.0.is_empty() => return Ok(Some(cloud)),
                Ok(_) => {}
                // Who is not root has the other file.
                Err(error) => refused = Some(error),
            }
        }
        match (firmware(&root.join("sys/class/dmi/id")), refused) {
            (Some(cloud), _) => Ok(Some(cloud)),
            (None, Some(error)) => Err(error),
            (None, None) => Ok(None),
        }
    }

    fn read(path: &Path) -> Result<Self, CloudError> {
        let unreadable = |source| CloudError::Unreadable {
            path: path.to_owned(),
            source,
        };
        let form = |problem: String| CloudError::Form {
            path: path.to_owned(),
            problem,
        };
        let mut content = Vec::new();
        let file = std::fs::File::open(path).map_err(unreadable)?;
        file.take(FILE + 1)
            .read_to_end(&mut content)
            .map_err(unreadable)?;
        if content.len() as u64 > FILE {
            return Err(form(format!("is larger than {} MiB", FILE >> 20)));
        }
        let data: Value =
            serde_json::from_slice(&content).map_err(|error| form(format!("is not JSON: {error}")))?;
        Ok(Self::of(&data))
    }

    fn of(data: &Value) -> Self {
        let mut cloud = Self::default();
        for (field, places) in FIELDS {
            let texts = places.iter().filter_map(|place| data.pointer(place)?.as_str());
            // cloud-init writes so where it left something out or knows nothing.
            let known = texts.map(str::trim).find(|text| {
                !text.is_empty()
                    && text.len() <= TEXT
                    && !matches!(*text, "none" | "unknown" | "nocloud" | "None")
                    && !text.starts_with("redacted for non-root")
            });
            if let Some(text) = known {
                cloud.set(field, text);
            }
        }
        if data.get("cloud").is_none() && data.get("v1").is_none() && data.get("accountId").is_some() {
            cloud.set("provider", "aws");
        }
        // `projects/123/zones/europe-west1-b`, as Compute Engine names its zones.
        let zone = data.pointer("/ds/meta_data/zone").and_then(Value::as_str);
        if let Some(zone) = zone
            && let Some(("projects", rest)) = zone.split_once('/')
            && let Some((project, _)) = rest.split_once('/')
        {
            cloud.set("project.id", project);
        }
        cloud
    }

    fn set(&mut self, field: &str, text: &str) {
        let text = match (field, text) {
            // As ECS names them.
            ("provider", "ec2") => "aws",
            ("provider", "gce") => "gcp",
            (_, text) => text,
        };
        match field.split_once('.') {
            None => {
                self.0.insert(field.to_owned(), json!(text));
            }
            Some((object, name)) => {
                let object = self.0.entry(object).or_insert_with(|| json!({}));
                if let Some(object) = object.as_object_mut() {
                    object.insert(name.to_owned(), json!(text));
                }
            }
        }
    }

    /// What a document says of it, below `cloud`.
    pub fn members(&self) -> &Map<String, Value> {
        &self.0
    }
}

/// What the firmware of a virtual machine says of who runs it.
/// <https://docs.cloud-init.io/en/latest/development/datasource_creation.html>
fn firmware(folder: &Path) -> Option<Cloud> {
    let text = |name: &str| {
        let mut text = String::new();
        let file = std::fs::File::open(folder.join(name)).ok()?;
        file.take(TEXT as u64).read_to_string(&mut text).ok()?;
        Some(text.trim().to_owned()).filter(|text| !text.is_empty())
    };
    let mut cloud = Cloud::default();
    let vendor = text("sys_vendor").unwrap_or_default();
    if vendor == "Amazon EC2" {
        cloud.set("provider", "aws");
        if let Some(id) = text("board_asset_tag").filter(|id| id.starts_with("i-")) {
            cloud.set("instance.id", &id);
        }
    } else if text("product_name").as_deref() == Some("Google Compute Engine") {
        cloud.set("provider", "gcp");
    } else if text("chassis_asset_tag").as_deref() == Some("7783-7084-3265-9085-8269-3286-77") {
        cloud.set("provider", "azure");
        if let Some(id) = text("product_uuid") {
            cloud.set("instance.id", &id.to_ascii_lowercase());
        }
    } else if vendor.starts_with("OpenStack")
        || text("product_name").is_some_and(|name| name.starts_with("OpenStack"))
    {
        cloud.set("provider", "openstack");
        if let Some(id) = text("product_uuid") {
            cloud.set("instance.id", &id.to_ascii_lowercase());
        }
    } else {
        return None;
    }
    Some(cloud)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(data: &Value) -> String {
        serde_json::to_string(Cloud::of(data).members()).unwrap()
    }

    #[test]
    fn instance_data_of_each_cloud_is_understood() {
        let ec2 = json!({
            "v1": {"cloud_name": "aws", "region": "eu-west-1", "availability_zone": "eu-west-1b", "instance_id": "i-0a1"},
            "ds": {"meta_data": {"instance-type": "t3.small"}, "dynamic": {"instance-identity": {"document": {"accountId": "111122223333"}}}},
        });
        assert_eq!(
            told(&ec2),
            r#"{"provider":"aws","account":{"id":"111122223333"},"region":"eu-west-1","availability_zone":"eu-west-1b","instance":{"id":"i-0a1"},"machine":{"type":"t3.small"}}"#
        );
        let redacted = json!({
            "v1": {"cloud_name": "gce", "region": null, "instance_id": "42"},
            "ds": {"meta_data": {"zone": "projects/7/zones/europe-west1-b", "instance-type": "redacted for non-root user"}},
        });
        assert_eq!(
            told(&redacted),
            r#"{"provider":"gcp","instance":{"id":"42"},"project":{"id":"7"}}"#
        );
        let azure = json!({
            "v1": {"cloud_name": "azure", "instance_id": "d1"},
            "ds": {"meta_data": {"imds": {"compute": {"subscriptionId": "s", "location": "westeurope", "vmSize": "B2", "name": "web"}}}},
        });
        assert_eq!(
            told(&azure),
            r#"{"provider":"azure","account":{"id":"s"},"region":"westeurope","instance":{"id":"d1","name":"web"},"machine":{"type":"B2"}}"#
        );
        let openstack = json!({
            "v1": {"cloud_name": "openstack", "availability_zone": "MS1", "instance_id": "u"},
            "ds": {"meta_data": {"project_id": "p", "name": "web"}},
        });
        assert_eq!(
            told(&openstack),
            r#"{"provider":"openstack","project":{"id":"p"},"availability_zone":"MS1","instance":{"id":"u","name":"web"}}"#
        );
        assert_eq!(
            told(&json!({"accountId": "1", "instanceId": "i-1"})),
            r#"{"account":{"id":"1"},"instance":{"id":"i-1"},"provider":"aws"}"#
        );
        assert_eq!(
            told(&json!({"cloud": {"provider": "vk", "instance": {"id": "x"}}})),
            r#"{"provider":"vk","instance":{"id":"x"}}"#
        );
        assert_eq!(told(&json!([1])), "{}");
        assert_eq!(
            told(&json!({"v1": {"cloud_name": "none", "instance_id": {"x": 1}}})),
            "{}"
        );
    }

    #[test]
    fn places_are_looked_at_in_turn_and_bad_files_are_told() {
        let root = tempfile::tempdir().unwrap();
        let below = || Cloud::below(root.path());
        assert_eq!(below().unwrap(), None);
        let firmware = root.path().join("sys/class/dmi/id");
        std::fs::create_dir_all(&firmware).unwrap();
        std::fs::write(firmware.join("sys_vendor"), "Amazon EC2\n").unwrap();
        std::fs::write(firmware.join("board_asset_tag"), "i-0123\n").unwrap();
        let id = |cloud: &Cloud| cloud.members()["instance"]["id"].as_str().unwrap().to_owned();
        assert_eq!(id(&below().unwrap().unwrap()), "i-0123");
        let run = root.path().join("run/cloud-init");
        std::fs::create_dir_all(&run).unwrap();
        let file = run.join("instance-data.json");
        std::fs::write(&file, r#"{"v1":{"cloud_name":"aws","instance_id":"i-9"}}"#).unwrap();
        assert_eq!(id(&below().unwrap().unwrap()), "i-9");
        std::fs::write(&file, "{").unwrap();
        assert_eq!(id(&below().unwrap().unwrap()), "i-0123");
        std::fs::remove_dir_all(firmware).unwrap();
        assert!(below().unwrap_err().to_string().contains("is not JSON"));
        std::fs::write(&file, "{}").unwrap();
        let given = CloudOptions { file: Some(file) };
        assert!(
            Cloud::find(&given)
                .unwrap_err()
                .to_string()
                .contains("says nothing about a cloud")
        );
    }
}
