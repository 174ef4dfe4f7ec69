//! The codes of all crates: what `neph explain` has to say.

use neph_diag::{Code, Registry};

fn all() -> Vec<&'static Code> {
    [
        neph_plan::codes::CODES,
        neph_eql::CODES,
        neph_kql::CODES,
        neph_sigma::CODES,
        neph_rules::CODES,
        neph_posture::CODES,
        neph_images::CODES,
    ]
    .concat()
}

#[test]
fn every_code_has_a_name_a_summary_and_a_page() {
    let mut faults = Vec::new();
    for code in all() {
        let mut fault = |what: &str| faults.push(format!("{}: {what}", code.name));
        if !code
            .name
            .split('-')
            .all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase()))
        {
            fault("the name is not in kebab case");
        }
        if code.summary.is_empty() || code.summary.ends_with('.') || code.summary.contains('\n') {
            fault("the summary is not one line without a full stop");
        }
        // A page says why it is a problem and how to mend it, which the summary does not.
        if code.explanation.trim().len() < 80 {
            fault("the page says too little");
        }
        if code.explanation.matches("```").count() % 2 == 1 {
            fault("a code block of the page is not closed");
        }
        if !code.page(false).starts_with(code.name) {
            fault("the page does not name the code");
        }
    }
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn no_two_codes_have_one_name() {
    let registry = Registry::new(&[&all()]);
    assert_eq!(registry.codes().len(), all().len());
}
