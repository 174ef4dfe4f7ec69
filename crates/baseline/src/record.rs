//! What is kept of a snapshot or an image.

use jiff::Timestamp;
use neph_inventory::Cloud;
use serde::{Deserialize, Serialize};

/// What a kind is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// A copy of a disk, a database or a machine at one time.
    Snapshot,
    /// What machines are made of.
    Image,
}

macro_rules! kinds {
    ($($variant:ident $name:literal $cloud:ident $what:ident $noun:literal;)*) => {
        /// Kinds of snapshots and images.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Kind {
            $(#[doc = $noun] #[serde(rename = $name)] $variant,)*
        }

        impl Kind {
            /// All of them, in the order of a baseline.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The name: `aws-ebs-snapshot`.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// What people call it: `EBS snapshot`.
            pub fn noun(self) -> &'static str {
                match self { $(Self::$variant => $noun,)* }
            }

            /// Where it is found.
            pub fn cloud(self) -> Cloud {
                match self { $(Self::$variant => Cloud::$cloud,)* }
            }

            /// What it is good for.
            pub fn what(self) -> What {
                match self { $(Self::$variant => What::$what,)* }
            }
        }
    };
}

kinds! {
    AwsEbsSnapshot "aws-ebs-snapshot" Aws Snapshot "EBS snapshot";
    AwsRdsSnapshot "aws-rds-snapshot" Aws Snapshot "RDS snapshot";
    AwsRdsClusterSnapshot "aws-rds-cluster-snapshot" Aws Snapshot "RDS cluster snapshot";
    AwsRecoveryPoint "aws-recovery-point" Aws Snapshot "recovery point of AWS Backup";
    AwsImage "aws-image" Aws Image "AMI";
    AzureSnapshot "azure-snapshot" Azure Snapshot "disk snapshot";
    AzureRestorePoint "azure-restore-point" Azure Snapshot "restore point";
    AzureImage "azure-image" Azure Image "managed image";
    AzureGallery "azure-gallery" Azure Image "image gallery";
    AzureGalleryImage "azure-gallery-image" Azure Image "gallery image";
    AzureGalleryVersion "azure-gallery-version" Azure Image "gallery image version";
    GcpSnapshot "gcp-snapshot" Gcp Snapshot "disk snapshot";
    GcpInstantSnapshot "gcp-instant-snapshot" Gcp Snapshot "instant snapshot";
    GcpMachineImage "gcp-machine-image" Gcp Image "machine image";
    GcpImage "gcp-image" Gcp Image "disk image";
    OpenstackSnapshot "openstack-snapshot" Openstack Snapshot "volume snapshot";
    OpenstackBackup "openstack-backup" Openstack Snapshot "volume backup";
    OpenstackImage "openstack-image" Openstack Image "Glance image";
}

impl Kind {
    /// The kind of a name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.name() == name)
    }

    /// Whether a list tells those of one region only.
    pub fn is_regional(self) -> bool {
        matches!(self.cloud(), Cloud::Aws | Cloud::Openstack)
    }
}

/// Where a snapshot or an image stands in its life, as far as that matters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It is being made: what is not there yet may still come.
    Pending,
    /// It can be used.
    #[default]
    Ready,
    /// It cannot be used: it failed, is being deleted, or was put out of use.
    Unusable,
}

impl State {
    fn is_ready(&self) -> bool {
        *self == Self::Ready
    }
}

/// A snapshot or an image. Texts are as the cloud has them, lists are sorted, and what changes by itself is not here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// The kind.
    pub kind: Kind,
    /// What it is known by among all of its kind: an id, an ARN, or a path in small letters.
    pub id: Box<str>,
    /// Its name, where the cloud has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Box<str>>,
    /// The account, subscription or project that it was listed in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<Box<str>>,
    /// The region or location.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<Box<str>>,
    /// The account that it belongs to, where that is not the one it was listed in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Box<str>>,
    /// Where it stands in its life.
    #[serde(default, skip_serializing_if = "State::is_ready")]
    pub state: State,
    /// When it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<Timestamp>,
    /// Its size in the unit of its cloud (GiB mostly, bytes in Glance).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Whether it is encrypted with a key that one has a say in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encrypted: Option<bool>,
    /// The key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Box<str>>,
    /// What it was made of: a volume, a disk, an instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Box<str>>,
    /// Of which snapshot or image it is a copy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copy_of: Option<Box<str>>,
    /// What tells its content from another under the same name: a checksum, a number that the cloud gives each only once, or the snapshots of an image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<Box<str>>,
    /// The family by which the newest of several is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub family: Option<Box<str>>,
    /// How it can be reached or exported, beside sharing: what the cloud says of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access: Option<Box<str>>,
    /// Whether everybody may use it; nothing where that was not collected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public: Option<bool>,
    /// Who may use it, besides; nothing where that was not collected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared: Option<Vec<Box<str>>>,
    /// Tags, labels or properties.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<(Box<str>, Box<str>)>,
}

impl Record {
    /// One of which only kind and id are known.
    pub fn new(kind: Kind, id: impl Into<Box<str>>) -> Self {
        Self {
            kind,
            id: id.into(),
            name: None,
            account: None,
            region: None,
            owner: None,
            state: State::Ready,
            created: None,
            size: None,
            encrypted: None,
            key: None,
            source: None,
            copy_of: None,
            content: None,
            family: None,
            access: None,
            public: None,
            shared: None,
            tags: Vec::new(),
        }
    }

    /// What records are sorted by; no two of a baseline have the same.
    pub fn place(&self) -> (Kind, &str) {
        (self.kind, &self.id)
    }

    /// The account that it belongs to, as far as that is known.
    pub fn belongs_to(&self) -> Option<&str> {
        self.owner.as_deref().or(self.account.as_deref())
    }

    /// Name and id, as people want to read them.
    pub fn title(&self) -> String {
        match &self.name {
            Some(name) if !self.id.to_lowercase().ends_with(&name.to_lowercase()) => {
                format!("{} ({name})", self.id)
            }
            _ => self.id.to_string(),
        }
    }
}
