//! Whose something is: cloud, account and region.

use std::path::{Component, Path};

use serde::{Deserialize, Serialize};

/// Where things are collected from; the names are those of the outermost folders.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cloud {
    /// Amazon Web Services: accounts and regions.
    Aws,
    /// Microsoft Azure: subscriptions.
    Azure,
    /// Docker, or what speaks its API: hosts.
    Docker,
    /// Google Cloud: projects.
    Gcp,
    /// A machine: hosts.
    Host,
    /// Kubernetes: clusters.
    Kubernetes,
    /// OpenStack and VK Cloud: projects and regions.
    Openstack,
}

impl Cloud {
    /// All of them, by their names.
    pub const ALL: [Self; 7] = [
        Self::Aws,
        Self::Azure,
        Self::Docker,
        Self::Gcp,
        Self::Host,
        Self::Kubernetes,
        Self::Openstack,
    ];

    /// The name of its folder.
    pub fn name(self) -> &'static str {
        match self {
            Self::Aws => "aws",
            Self::Azure => "azure",
            Self::Docker => "docker",
            Self::Gcp => "gcp",
            Self::Host => "host",
            Self::Kubernetes => "kubernetes",
            Self::Openstack => "openstack",
        }
    }

    /// The cloud of a name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|cloud| cloud.name() == name)
    }

    /// Whether an account has regions, which are folders of their own.
    fn has_regions(self) -> bool {
        matches!(self, Self::Aws | Self::Openstack)
    }
}

/// A cloud, an account of it and a region, as far as they are known.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Scope {
    /// The cloud.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cloud: Option<Cloud>,
    /// The account, subscription, project, cluster or host.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub account: Option<String>,
    /// The region, or `global`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub region: Option<String>,
}

impl Scope {
    /// What the place of a file tells: `aws/111122223333/eu-west-1/…`, `azure/SUBSCRIPTION/…`, wherever in the path it begins. Without such
    /// folders, a folder of twelve digits is an account of AWS, and one that looks like a region of AWS is one.
    pub fn of_path(path: &Path) -> Self {
        let folders: Vec<&str> = path
            .parent()
            .into_iter()
            .flat_map(Path::components)
            .filter_map(|component| match component {
                Component::Normal(name) => name.to_str(),
                _ => None,
            })
            .collect();
        let marked = folders.iter().enumerate().rev().find_map(|(at, name)| {
            let cloud = Cloud::of_name(name)?;
            let account = *folders.get(at + 1)?;
            // A folder may be called so for other reasons.
            let fits = cloud != Cloud::Aws || is_aws_account(account);
            fits.then(|| (cloud, account, folders.get(at + 2).copied()))
        });
        if let Some((cloud, account, below)) = marked {
            return Self {
                cloud: Some(cloud),
                account: Some(account.to_owned()),
                region: below.filter(|_| cloud.has_regions()).map(str::to_owned),
            };
        }
        let find = |is: fn(&str) -> bool| {
            folders
                .iter()
                .rev()
                .find(|name| is(name))
                .map(|name| (*name).to_owned())
        };
        let (account, region) = (find(is_aws_account), find(is_aws_region));
        Self {
            cloud: (account.is_some() || region.is_some()).then_some(Cloud::Aws),
            account,
            region,
        }
    }

    /// What is not known here is taken from another.
    #[must_use]
    pub fn or(self, other: &Self) -> Self {
        Self {
            cloud: self.cloud.or(other.cloud),
            account: self.account.or_else(|| other.account.clone()),
            region: self.region.or_else(|| other.region.clone()),
        }
    }
}

impl std::fmt::Display for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.cloud.map_or("?", Cloud::name))?;
        for part in [&self.account, &self.region].into_iter().flatten() {
            write!(f, "/{part}")?;
        }
        Ok(())
    }
}

fn is_aws_account(name: &str) -> bool {
    name.len() == 12 && name.bytes().all(|byte| byte.is_ascii_digit())
}

/// `eu-west-1`, `us-gov-east-1`, `ap-southeast-2`: letters, then a direction, then a number.
fn is_aws_region(name: &str) -> bool {
    let parts: Vec<&str> = name.split('-').collect();
    let [area, between @ .., number] = parts.as_slice() else {
        return false;
    };
    let is_letters = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase());
    area.len() == 2
        && (1..=2).contains(&between.len())
        && is_letters(area)
        && between.iter().all(|part| is_letters(part))
        && number.len() == 1
        && number.bytes().all(|byte| byte.is_ascii_digit())
}
