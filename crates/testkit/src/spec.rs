//! Spec suites: Markdown files that are the manual of a language and its tests at once. `spec/README.md` describes the form.

mod events;
mod markdown;
mod run;

pub use markdown::{Case, Expectation, Kind, Language, Options, Subject, Suite, SuiteError};
pub use run::{Failure, run};

impl Suite {
    /// The text of the file with what is in the place of what was expected.
    ///
    /// # Errors
    /// A case that cannot be run at all.
    pub fn updated(&self) -> Result<String, Failure> {
        let lines: Vec<&str> = self.text.split_inclusive('\n').collect();
        let mut out = String::with_capacity(self.text.len());
        let mut next = 0;
        for case in &self.cases {
            for (expectation, actual) in case.expectations.iter().zip(run(case)?) {
                let body = expectation.lines.clone();
                out.extend(lines.get(next..body.start).into_iter().flatten().copied());
                out.push_str(&actual);
                next = body.end;
            }
        }
        out.extend(lines.get(next..).into_iter().flatten().copied());
        Ok(out)
    }
}
