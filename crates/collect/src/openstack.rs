//! OpenStack and clouds built of it, such as VK Cloud: what `openstack … list --long -f json` prints.

mod login;

use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use neph_inventory::Cloud;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value, json};

use self::login::{Login, Token};
use crate::http::{Client, get, post};
use crate::output::Output;
use crate::page::{self, Page, items_of, text_of};
use crate::problem::Problem;
use crate::run::{Content, Got, Place, Run, Task, Watch};
use crate::{CollectError, Report, Settings};

/// Tokens are renewed so long before they expire.
const EARLY: SignedDuration = SignedDuration::from_mins(5);
/// Items on a page; services have limits of their own below it.
const PAGE: u32 = 500;

/// Which cloud, and as whom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The entry of `clouds.yaml`; without it the environment says everything.
    pub cloud: Option<String>,
    /// Regions; none: all that the catalogue names.
    pub regions: Vec<String>,
    /// Whether things of all projects are asked for, which only administrators may.
    pub is_for_all: bool,
}

/// A list of a service, and how the tool prints it.
struct List {
    /// The name of the file, and the words of the call.
    name: &'static str,
    /// Kinds of the service in the catalogue.
    service: &'static [&'static str],
    path: &'static str,
    /// The key that the list is under.
    key: &'static str,
    /// Columns, and where their values are.
    columns: &'static [(&'static str, &'static str)],
    /// Whether administrators may ask for all projects.
    is_of_project: bool,
}

const VOLUMES: &[&str] = &["block-storage", "block-store", "volumev3", "volume"];
const IMAGES: &[&str] = &["image"];

/// The columns are those of python-openstackclient.
const LISTS: &[List] = &[
    List {
        name: "volume-snapshot-list",
        service: VOLUMES,
        path: "/snapshots/detail",
        key: "snapshots",
        columns: &[
            ("ID", "/id"),
            ("Name", "/name"),
            ("Description", "/description"),
            ("Status", "/status"),
            ("Size", "/size"),
            ("Created At", "/created_at"),
            ("Volume", "/volume_id"),
            ("Properties", "/metadata"),
        ],
        is_of_project: true,
    },
    List {
        name: "volume-backup-list",
        service: VOLUMES,
        path: "/backups/detail",
        key: "backups",
        columns: &[
            ("ID", "/id"),
            ("Name", "/name"),
            ("Description", "/description"),
            ("Status", "/status"),
            ("Size", "/size"),
            ("Incremental", "/is_incremental"),
            ("Created At", "/created_at"),
            ("Availability Zone", "/availability_zone"),
            ("Volume", "/volume_id"),
            ("Container", "/container"),
        ],
        is_of_project: true,
    },
    List {
        name: "volume-list",
        service: VOLUMES,
        path: "/volumes/detail",
        key: "volumes",
        columns: &[
            ("ID", "/id"),
            ("Name", "/name"),
            ("Status", "/status"),
            ("Size", "/size"),
            ("Type", "/volume_type"),
            ("Bootable", "/bootable"),
            ("Attached to", "/attachments"),
            ("Properties", "/metadata"),
        ],
        is_of_project: true,
    },
    List {
        name: "image-list",
        service: IMAGES,
        path: "/v2/images",
        key: "images",
        columns: &[
            ("ID", "/id"),
            ("Name", "/name"),
            ("Disk Format", "/disk_format"),
            ("Container Format", "/container_format"),
            ("Size", "/size"),
            ("Checksum", "/checksum"),
            ("Status", "/status"),
            ("Visibility", "/visibility"),
            ("Protected", "/protected"),
            ("Project", "/owner"),
            ("Hash Algorithm", "/os_hash_algo"),
            ("Hash Value", "/os_hash_value"),
            ("Tags", "/tags"),
        ],
        is_of_project: false,
    },
];

/// Asks a cloud for its volume snapshots, backups, volumes, images with whom they are shared, and roles.
///
/// # Errors
/// When there are no credentials, or they are not accepted, or the folder cannot be filled.
pub fn collect(
    options: &Options,
    output: &Output,
    settings: &Settings,
    watch: &dyn Watch,
) -> Result<Report, CollectError> {
    let login =
        login::find(options.cloud.as_deref()).map_err(|problem| CollectError::Setup(problem.to_string()))?;
    let client =
        Client::new(settings, &login.trust).map_err(|problem| CollectError::Setup(problem.to_string()))?;
    let project = Project {
        client,
        login,
        current: Mutex::default(),
        is_for_all: options.is_for_all,
    };
    let token = project.token().map_err(|problem| CollectError::Begin {
        call: format!("openstack token issue at `{}`", project.login.url),
        problem,
    })?;
    let id = token.project.clone().unwrap_or_else(|| "system".to_owned());
    let regions = match (options.regions.is_empty(), &project.login.region) {
        (false, _) => options.regions.clone(),
        (true, Some(region)) => vec![region.clone()],
        (true, None) => token.regions(VOLUMES.iter().chain(IMAGES)),
    };
    if settings.refresh {
        output.forget(|call| {
            let region = call.region.as_ref();
            let is_meant = region.is_none_or(|region| region == "global" || regions.contains(region));
            call.cloud == Cloud::Openstack && call.account.as_ref() == Some(&id) && is_meant
        })?;
    }
    let project = &project;
    let place = |region: &str| Place {
        cloud: Cloud::Openstack,
        account: id.clone(),
        region: Some(region.to_owned()),
    };
    let global = place("global");
    let mut tasks = vec![
        Task::new(
            &global,
            global.file("role-assignment-list", None, ".json"),
            "role assignment list",
            || project.assignments(),
        ),
        Task::new(
            &global,
            global.file("implied-role-list", None, ".json"),
            "implied role list",
            || project.implied(),
        ),
    ];
    for region in &regions {
        for list in LISTS {
            let place = place(region);
            let call = list.name.replace('-', " ");
            let task = Task::new(&place, place.file(list.name, None, ".json"), call, move || {
                project.list(list, region)
            });
            tasks.push(match list.name {
                "image-list" => task.then(move |value| project.members(value, region, &place)),
                _ => task,
            });
        }
    }
    let run = Run::new(output, watch);
    run.go(settings, tasks)?;
    Ok(run.report())
}

struct Project {
    client: Client,
    login: Login,
    current: Mutex<Option<Token>>,
    is_for_all: bool,
}

impl Project {
    /// A token that does not expire soon.
    fn token(&self) -> Result<Token, Problem> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let lasts = |token: &Token| {
            token
                .expires
                .is_none_or(|expires| expires.duration_since(Timestamp::now()) > EARLY)
        };
        if let Some(token) = current.as_ref().filter(|token| lasts(token)) {
            return Ok(token.clone());
        }
        for secret in self.login.secrets() {
            self.client.hide(secret);
        }
        let url = format!("{}/auth/tokens", self.login.url);
        let body = self.login.body().to_string();
        let request = || {
            post(
                &url,
                &[("Content-Type", "application/json")],
                body.clone().into_bytes(),
            )
        };
        let token = Token::read(&self.client.ask("identity", &request, &crate::http::usual)?)?;
        self.client.hide(&token.secret);
        *current = Some(token.clone());
        Ok(token)
    }

    fn get(&self, url: &str) -> Result<Value, Problem> {
        let token = self.token()?;
        // A service is one server, whatever is asked for.
        let lane = url.split('/').nth(2).unwrap_or_default();
        self.client.json(lane, &|| {
            get(
                url,
                &[
                    ("X-Auth-Token", token.secret.as_str()),
                    ("Accept", "application/json"),
                ],
            )
        })
    }

    fn endpoint(&self, services: &[&str], region: Option<&str>) -> Result<String, Problem> {
        let token = self.token()?;
        let found = token.endpoint(services, region, &self.login.interface);
        found.ok_or_else(|| {
            Problem::Refused(format!(
                "the catalogue has no service `{}`",
                services.first().unwrap_or(&"")
            ))
        })
    }

    /// The items of a list, page by page: block storage gives the address of the next, images its path.
    fn pages(&self, base: &str, path: &str, key: &str) -> Result<(Vec<Value>, Option<Problem>), Problem> {
        page::all(|next| {
            let url = match next {
                None => format!("{base}{path}"),
                Some(next) => following(base, next),
            };
            let mut answer = self.get(&url)?;
            let items = items_of(&mut answer, key)?;
            let links = answer
                .get(format!("{key}_links"))
                .and_then(Value::as_array)
                .into_iter()
                .flatten();
            let next_link = links
                .filter(|link| text_of(link, "rel").as_deref() == Some("next"))
                .find_map(|link| text_of(link, "href"));
            let next_of_links = answer
                .pointer("/links/next")
                .and_then(Value::as_str)
                .map(str::to_owned);
            Ok(Page {
                items,
                next: next_link.or_else(|| text_of(&answer, "next")).or(next_of_links),
            })
        })
    }

    fn list(&self, list: &List, region: &str) -> Result<Got, Problem> {
        let mut base = self.endpoint(list.service, Some(region))?;
        // The catalogue's address of images may have the version in it.
        if list.path.starts_with("/v2/") {
            base = base.trim_end_matches("/v2").to_owned();
        }
        let all = if self.is_for_all && list.is_of_project {
            "&all_tenants=True"
        } else {
            ""
        };
        let (items, problem) = self.pages(&base, &format!("{}?limit={PAGE}{all}", list.path), list.key)?;
        let rows: Vec<Value> = items.iter().map(|item| row(item, list.columns)).collect();
        Ok(Got {
            items: rows.len() as u64,
            content: Content::Json(Value::Array(rows)),
            problem,
        })
    }

    /// Projects that images are shared with, image by image.
    fn members<'t>(&'t self, images: &Value, region: &'t str, place: &Place) -> Vec<Task<'t>> {
        let listed = images.as_array().into_iter().flatten();
        let shared = listed.filter(|image| text_of(image, "Visibility").as_deref() == Some("shared"));
        shared
            .filter_map(|image| text_of(image, "ID"))
            .map(|id| {
                let file = place.file("image-member-list", Some(&id), ".json");
                Task::new(place, file, "image member list", move || {
                    let base = self.endpoint(IMAGES, Some(region))?;
                    let url = format!(
                        "{}/v2/images/{}/members",
                        base.trim_end_matches("/v2"),
                        utf8_percent_encode(&id, NON_ALPHANUMERIC)
                            .to_string()
                            .replace("%2D", "-")
                    );
                    let members = items_of(&mut self.get(&url)?, "members")?;
                    let columns = [
                        ("Image ID", "/image_id"),
                        ("Member ID", "/member_id"),
                        ("Status", "/status"),
                    ];
                    Ok(Got::whole(Value::Array(
                        members.iter().map(|member| row(member, &columns)).collect(),
                    )))
                })
            })
            .collect()
    }

    /// As `role assignment list --names` prints it.
    fn assignments(&self) -> Result<Got, Problem> {
        let (items, problem) = self.pages(
            &self.login.url,
            "/role_assignments?include_names=True",
            "role_assignments",
        )?;
        let rows: Vec<Value> = items
            .iter()
            .map(|item| {
                let named = |place: &str| {
                    let name = |at: String| item.pointer(&at).and_then(Value::as_str).unwrap_or_default();
                    match (name(format!("{place}/name")), name(format!("{place}/domain/name"))) {
                        (name, "") => name.to_owned(),
                        (name, domain) => format!("{name}@{domain}"),
                    }
                };
                let is_of_system = item.pointer("/scope/system").is_some();
                let is_inherited = item.pointer("/scope/OS-INHERIT:inherited_to").and_then(Value::as_str) == Some("projects");
                json!({
                    "Role": named("/role"), "User": named("/user"), "Group": named("/group"), "Project": named("/scope/project"),
                    "Domain": named("/scope/domain"), "System": if is_of_system { "all" } else { "" }, "Inherited": is_inherited,
                })
            })
            .collect();
        Ok(Got {
            items: rows.len() as u64,
            content: Content::Json(Value::Array(rows)),
            problem,
        })
    }

    /// As `implied role list` prints it.
    fn implied(&self) -> Result<Got, Problem> {
        let mut answer = self.get(&format!("{}/role_inferences", self.login.url))?;
        let mut rows = Vec::new();
        for rule in items_of(&mut answer, "role_inferences")? {
            let text = |value: &Value, place: &str| value.pointer(place).cloned().unwrap_or_default();
            let implied = rule
                .get("implies")
                .and_then(Value::as_array)
                .into_iter()
                .flatten();
            rows.extend(implied.map(|implied| {
                json!({
                    "Prior Role ID": text(&rule, "/prior_role/id"), "Prior Role Name": text(&rule, "/prior_role/name"),
                    "Implied Role ID": text(implied, "/id"), "Implied Role Name": text(implied, "/name"),
                })
            }));
        }
        Ok(Got::whole(Value::Array(rows)))
    }
}

/// The list that has these columns, and whether it is one for all regions.
pub(crate) fn list_of(keys: &[&str]) -> Option<(&'static str, bool)> {
    let has = |columns: &[&str]| columns.iter().all(|column| keys.contains(column));
    if has(&["Role", "User", "Group", "Project", "Inherited"]) {
        return Some(("role-assignment-list", true));
    }
    if has(&["Prior Role Name", "Implied Role Name"]) {
        return Some(("implied-role-list", true));
    }
    if has(&["Image ID", "Member ID", "Status"]) {
        return Some(("image-member-list", false));
    }
    // Older tools have fewer columns of images.
    let own = |list: &&List| {
        list.columns
            .iter()
            .all(|(column, _)| keys.contains(column) || column.starts_with("Hash "))
    };
    LISTS.iter().find(own).map(|list| (list.name, false))
}

/// The address of the next page, always at the same server: a token goes nowhere else, and behind proxies services give addresses that
/// they have inside. A path may leave out what stands before the service's own.
fn following(base: &str, next: &str) -> String {
    let origin = base.split('/').take(3).collect::<Vec<&str>>().join("/");
    let before = base.get(origin.len()..).unwrap_or_default();
    match next.split_once("://") {
        Some((_, rest)) => format!("{origin}/{}", rest.split_once('/').map_or("", |(_, path)| path)),
        None if next.starts_with(before) => format!("{origin}/{}", next.trim_start_matches('/')),
        None => format!("{base}/{}", next.trim_start_matches('/')),
    }
}

/// An item as the tool prints it.
fn row(item: &Value, columns: &[(&str, &str)]) -> Value {
    let cell = |name: &str, place: &str| {
        let value = item.pointer(place).cloned().unwrap_or_default();
        match (name, value) {
            // Block storage writes it as text.
            ("Bootable", Value::String(text)) => Value::Bool(text == "true"),
            (_, value) => value,
        }
    };
    let cells = columns
        .iter()
        .map(|(name, place)| ((*name).to_owned(), cell(name, place)));
    Value::Object(cells.collect::<Map<String, Value>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_at_the_same_server() {
        for (base, next, expected) in [
            (
                "https://c:8776/v3/p",
                "http://inside:1/v3/p/snapshots/detail?marker=m",
                "https://c:8776/v3/p/snapshots/detail?marker=m",
            ),
            (
                "https://c/image",
                "/v2/images?marker=m",
                "https://c/image/v2/images?marker=m",
            ),
            (
                "https://c:9292",
                "/v2/images?marker=m",
                "https://c:9292/v2/images?marker=m",
            ),
            (
                "https://c/image",
                "/image/v2/images?marker=m",
                "https://c/image/v2/images?marker=m",
            ),
            ("https://c", "https://evil.example", "https://c/"),
        ] {
            assert_eq!(following(base, next), expected);
        }
    }
}
