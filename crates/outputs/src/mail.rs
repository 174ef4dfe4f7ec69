//! Mail.

use neph_config::Output;

use crate::{OpenError, Transport};

/// Opens an output of this kind.
pub(crate) fn open(output: &Output) -> Result<Box<dyn Transport>, OpenError> {
    Err(OpenError::Invalid(format!("`{}` cannot be used", output.name)))
}
