//! Amazon Web Services: what its own command-line tool prints, account by account and region by region.
//!
//! The official library has a type for every answer, with some hundred thousand lines for the virtual machines alone, and writes none of
//! them as JSON. So calls are described by data (`model.rs`), requests are signed by the official library, and answers are read by their
//! description into exactly what the tool prints.

mod answer;
mod ask;
mod calls;
mod credentials;
mod model;

use std::collections::BTreeSet;

use neph_inventory::Cloud;
use serde_json::Value;

use self::ask::{Parameters, Service};
use self::calls::{Each, First, GLOBAL, REGIONAL, field};
use crate::http::{Client, Trust};
use crate::output::Output;
use crate::problem::Problem;
use crate::run::{Content, Got, Place, Run, Task, Watch};
use crate::{CollectError, Report, Settings};

/// The name that stands for what belongs to no region.
const GLOBAL_REGION: &str = "global";
/// Values of one filter.
const FILTER_VALUES: usize = 200;

/// What is asked, and as whom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The profile in the files of the command-line tool.
    pub profile: Option<String>,
    /// Regions; none: all that the account uses.
    pub regions: Vec<String>,
    /// Another address for all services, for those who speak the same interface.
    pub endpoint: Option<String>,
    /// Whether the role of the instance that this runs on may be used.
    pub is_instance: bool,
}

/// What all tasks share.
struct Account<'a> {
    service: Service<'a>,
    id: String,
    /// The region that is asked for what belongs to none.
    home: String,
}

/// Asks an account for its snapshots, images, disks, instances, permissions, keys, registries, firewalls and clusters.
///
/// # Errors
/// When there are no credentials, or they are not accepted, or the folder cannot be filled.
pub fn collect(
    options: &Options,
    output: &Output,
    settings: &Settings,
    watch: &dyn Watch,
) -> Result<Report, CollectError> {
    let setup = |problem: Problem| CollectError::Setup(problem.to_string());
    let client = Client::new(settings, &Trust::default()).map_err(setup)?;
    let endpoint = options.endpoint.as_deref();
    let first_region = options.regions.first().map(String::as_str);
    let settled = credentials::find(
        options.profile.as_deref(),
        first_region,
        options.is_instance,
        &client,
        endpoint,
    )
    .map_err(setup)?;
    let provider = settled.provider;
    let current = || provider.current();
    let service = Service {
        client: &client,
        credentials: &current,
        endpoint,
    };
    let identity = service.value(&settled.region, "sts get-caller-identity", &Vec::new());
    let identity = identity.map_err(|problem| CollectError::Begin {
        call: "aws sts get-caller-identity".to_owned(),
        problem,
    })?;
    let id = identity
        .get("Account")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    if settings.refresh {
        let meant = |region: &str| {
            region == GLOBAL_REGION
                || options.regions.is_empty()
                || options.regions.iter().any(|wanted| wanted == region)
        };
        output.forget(|call| {
            call.cloud == Cloud::Aws
                && call.account.as_ref() == Some(&id)
                && meant(call.region.as_deref().unwrap_or_default())
        })?;
    }
    let account = Account {
        service,
        id,
        home: settled.region,
    };
    let account = &account;
    let global = account.place(GLOBAL_REGION);
    let mut tasks = vec![Task::new(
        &global,
        global.file("sts-get-caller-identity", None, ".json"),
        "sts get-caller-identity",
        move || Ok(Got::whole(identity)),
    )];
    for first in GLOBAL {
        // Web access control lists of the content network are at home in one region.
        let region = if first.call.starts_with("wafv2 ") {
            "us-east-1"
        } else {
            account.home.as_str()
        };
        tasks.push(account.first(first, region, &global));
    }
    if options.regions.is_empty() {
        let file = global.file("ec2-describe-regions", None, ".json");
        let home = account.home.as_str();
        let regions = Task::new(&global, file, "ec2 describe-regions", move || {
            account.service.got(home, "ec2 describe-regions", &Vec::new(), 0)
        });
        tasks.push(regions.then(move |value| account.regions(value)));
    } else {
        let wanted: BTreeSet<&str> = options.regions.iter().map(String::as_str).collect();
        tasks.extend(wanted.into_iter().flat_map(|region| account.region(region)));
    }
    let run = Run::new(output, watch);
    run.go(settings, tasks)?;
    Ok(run.report())
}

impl<'a> Account<'a> {
    fn place(&self, region: &str) -> Place {
        Place {
            cloud: Cloud::Aws,
            account: self.id.clone(),
            region: Some(region.to_owned()),
        }
    }

    /// The calls of all regions that the account may use.
    fn regions<'t>(&'t self, value: &Value) -> Vec<Task<'t>> {
        let listed = value
            .get("Regions")
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        let used = listed.filter(|region| field(region, "OptInStatus") != Some("not-opted-in"));
        used.filter_map(|region| field(region, "RegionName"))
            .flat_map(|region| self.region(region))
            .collect()
    }

    fn region<'t>(&'t self, region: &str) -> Vec<Task<'t>> {
        let place = self.place(region);
        REGIONAL
            .iter()
            .map(|first| self.first(first, region, &place))
            .collect()
    }

    fn first<'t>(&'t self, first: &'static First, region: &str, place: &Place) -> Task<'t> {
        let name = first
            .file
            .map_or_else(|| first.call.replace(' ', "-"), str::to_owned);
        let task = self.task(
            first.call,
            place.file(&name, None, ".json"),
            region,
            place,
            owned(first.parameters),
            first.page,
        );
        let (region, place) = (region.to_owned(), place.clone());
        task.then(move |value| {
            let mut more: Vec<Task<'t>> = first
                .then
                .iter()
                .flat_map(|each| self.each(each, value, &region, &place))
                .collect();
            match first.call {
                "ec2 describe-instances" => more.extend(self.images_in_use(value, &region, &place)),
                "organizations list-policies" => more.extend(self.control_policies(value, &region, &place)),
                _ => {}
            }
            more
        })
    }

    fn each<'t>(&'t self, each: &'static Each, answer: &Value, region: &str, place: &Place) -> Vec<Task<'t>> {
        let listed = answer
            .get(each.list)
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        let wanted = listed.filter(|item| {
            each.only
                .is_none_or(|(name, value)| field(item, name) == Some(value))
        });
        wanted
            .filter_map(|item| {
                let mut parameters = owned(each.parameters);
                for (name, from) in each.from {
                    parameters.push(((*name).to_owned(), field(item, from)?.to_owned()));
                }
                let file = place.file(
                    &each.call.replace(' ', "-"),
                    Some(field(item, each.item)?),
                    ".json",
                );
                Some(self.task(each.call, file, region, place, parameters, each.page))
            })
            .collect()
    }

    fn task<'t>(
        &'t self,
        call: &'static str,
        file: String,
        region: &str,
        place: &Place,
        parameters: Parameters,
        page: u32,
    ) -> Task<'t> {
        let region = region.to_owned();
        Task::new(place, file, call, move || {
            self.service.got(&region, call, &parameters, page)
        })
        .or_absent()
    }

    /// Images that instances were made of, whoever they belong to. Those that are gone are left out, as a filter does it.
    fn images_in_use<'t>(&'t self, answer: &Value, region: &str, place: &Place) -> Option<Task<'t>> {
        let reservations = answer
            .get("Reservations")
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        let instances = reservations
            .filter_map(|one| one.get("Instances")?.as_array())
            .flatten();
        let ids: BTreeSet<String> = instances
            .filter_map(|one| Some(field(one, "ImageId")?.to_owned()))
            .collect();
        let ids: Vec<String> = ids.into_iter().collect();
        if ids.is_empty() {
            return None;
        }
        let region = region.to_owned();
        let file = place.file("ec2-describe-images-in-use", None, ".json");
        Some(Task::new(place, file, "ec2 describe-images", move || {
            let mut images = Vec::new();
            for some in ids.chunks(FILTER_VALUES) {
                let mut parameters = vec![("Filter.1.Name".to_owned(), "image-id".to_owned())];
                parameters.extend(
                    some.iter()
                        .zip(1..)
                        .map(|(id, number)| (format!("Filter.1.Value.{number}"), id.clone())),
                );
                let mut found = self.service.value(&region, "ec2 describe-images", &parameters)?;
                if let Some(Value::Array(more)) = found.get_mut("Images").map(Value::take) {
                    images.extend(more);
                }
            }
            Ok(Got::whole(serde_json::json!({ "Images": images })))
        }))
    }

    /// Policies of the organisation, each with what it is attached to.
    fn control_policies<'t>(&'t self, answer: &Value, region: &str, place: &Place) -> Vec<Task<'t>> {
        let listed = answer
            .get("Policies")
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        let ids = listed.filter_map(|policy| field(policy, "Id"));
        ids.map(|id| {
            let (region, file) = (
                region.to_owned(),
                place.file("organizations-describe-policy", Some(id), ".json"),
            );
            let parameters = vec![("PolicyId".to_owned(), id.to_owned())];
            Task::new(place, file, "organizations describe-policy", move || {
                let mut got = self
                    .service
                    .got(&region, "organizations describe-policy", &parameters, 0)?;
                let targets =
                    self.service
                        .got(&region, "organizations list-targets-for-policy", &parameters, 20)?;
                if let (Content::Json(Value::Object(policy)), Content::Json(Value::Object(targets))) =
                    (&mut got.content, targets.content)
                {
                    policy.extend(targets);
                }
                got.problem = targets.problem;
                Ok(got)
            })
        })
        .collect()
    }
}

/// The call that answers with these members: of those that may have them all, the one with the fewest.
pub(crate) fn call_of(keys: &[&str]) -> Option<&'static str> {
    let told: Vec<&&str> = keys
        .iter()
        .filter(|key| {
            !matches!(
                **key,
                "NextToken" | "nextToken" | "NextMarker" | "Marker" | "IsTruncated"
            )
        })
        .collect();
    if told.is_empty() {
        return None;
    }
    let fits = model::operations().iter().filter(|(_, operation)| {
        told.iter()
            .all(|key| operation.members.iter().any(|member| member == **key))
    });
    let fewest = fits.min_by_key(|(_, operation)| operation.members.len());
    fewest.map(|(call, _)| call.as_str())
}

fn owned(parameters: &[(&str, &str)]) -> Parameters {
    parameters
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}
