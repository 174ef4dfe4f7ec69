//! What was collected, looked at again and again while the service runs.
//!
//! - [`When`]: by the clock, or when files change.
//! - [`Work`]: what a job does, once; [`Baselines`], [`Posture`] and [`Images`] are kinds of it.
//! - [`Looked`]: what it found. What was not there before becomes an alert, and of what is gone the alert says so.
//! - [`Scheduler`]: the thread that does it, one job after another.
//!
//! **Architecture invariant:** one job runs at a time, on a thread of the lowest priority; nothing waits for it.
//! **Architecture invariant:** a finding is gone only where what it is about was seen; what could not be looked at stays as it was.

mod baselines;
mod images;
mod keep;
mod posture;
mod scheduler;
mod when;
mod work;

pub use baselines::{ActsOf, Baselines};
pub use images::{ImageReport, Images};
pub use posture::Posture;
pub use scheduler::{Clock, Job, Notice, Options, Scheduler};
pub use when::When;
pub use work::{Looked, Tell, Work};
