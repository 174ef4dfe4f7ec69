//! Alerts as the store keeps them.

use neph_rules::Alert;
use neph_store::{StoreError, StoredAlert};

/// An alert in the store's form.
///
/// # Errors
/// Its document lacks what the store files alerts under.
pub(crate) fn alert(alert: Alert) -> Result<StoredAlert, StoreError> {
    StoredAlert::from_document(alert.document.into_json())
}
