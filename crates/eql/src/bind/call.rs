//! Calls of functions.

use neph_diag::{Applicability, Diagnostic, Edit, Span};
use neph_event::Value;
use neph_plan::Function;
use neph_plan::functions::parse_block;

use super::Binder;
use crate::ast::Call;
use crate::bound::{Bound, Insensitive, Kind};
use crate::codes;
use crate::signatures::{self, Parameter, SIGNATURES, Signature, Target};

impl Binder<'_> {
    pub(super) fn call(&mut self, call: &Call, span: Span) -> Bound {
        let arguments: Vec<Bound> = call
            .arguments
            .iter()
            .map(|argument| self.bind(argument))
            .collect();
        let Some(signature) = signatures::find(&call.name) else {
            self.unknown_function(call);
            return Bound::error(span);
        };
        let broken = arguments.iter().any(Bound::is_broken);
        if !self.check_case_marker(call, signature)
            || !self.check_count(call, signature)
            || broken
            || !self.check_arguments(signature, &arguments, span)
        {
            return Bound::error(span);
        }
        match signature.target {
            Target::Function(function) => Bound {
                kind: Kind::Call(function, arguments, Insensitive(call.insensitive)),
                ty: signature.result,
                span,
            },
            Target::Arithmetic(operator) => match <[Bound; 2]>::try_from(arguments) {
                Ok(operands) => self.arithmetic(operator, operands, span),
                Err(_) => Bound::error(span),
            },
        }
    }

    fn unknown_function(&mut self, call: &Call) {
        let name = &call.name;
        let mut diagnostic = Diagnostic::new(
            &codes::UNKNOWN_FUNCTION,
            call.name_span,
            format!("there is no function `{name}`"),
        );
        let lower = name.to_ascii_lowercase();
        let closest = SIGNATURES
            .iter()
            .map(|signature| {
                (
                    distance(&lower, &signature.name.to_ascii_lowercase()),
                    signature.name,
                )
            })
            .min();
        if let Some(replacement) = signatures::replacement(name) {
            diagnostic = diagnostic.with_help(replacement);
        } else if let Some((away, close)) = closest
            && away <= 2
        {
            diagnostic = diagnostic.with_help(format!("did you mean `{close}`?")).with_fix(
                format!("write `{close}`"),
                vec![Edit {
                    span: call.name_span,
                    replacement: format!("{close}{}", if call.insensitive { "~" } else { "" }),
                }],
                Applicability::Maybe,
            );
        }
        self.diagnostics.push(diagnostic);
    }

    fn check_case_marker(&mut self, call: &Call, signature: &Signature) -> bool {
        if !call.insensitive || signature.has_case {
            return true;
        }
        let tilde = Span {
            start: call.name_span.end - 1,
            ..call.name_span
        };
        self.diagnostics.push(
            Diagnostic::new(
                &codes::CASE_MARKER,
                call.name_span,
                format!("`{}` has no form that ignores case", signature.name),
            )
            .with_fix(
                "remove the `~`",
                vec![Edit {
                    span: tilde,
                    replacement: String::new(),
                }],
                Applicability::Sure,
            ),
        );
        false
    }

    fn check_count(&mut self, call: &Call, signature: &Signature) -> bool {
        let count = call.arguments.len();
        if signature.accepts_count(count) {
            return true;
        }
        let message = format!("`{}` takes {}, not {count}", signature.name, signature.arity());
        self.diagnostics
            .push(Diagnostic::new(&codes::ARGUMENT_COUNT, call.name_span, message));
        false
    }

    fn check_arguments(&mut self, signature: &Signature, arguments: &[Bound], span: Span) -> bool {
        let mut fine = true;
        for (position, argument) in arguments.iter().enumerate() {
            let parameter = signature.parameter(position);
            fine &= self.check_exact(argument, span, Some(signature.name));
            if !parameter.accepts(argument.ty) {
                let type_name = self.type_name(argument);
                let written = argument.span.text(self.text);
                let message = format!(
                    "`{}` takes a value of type {} here, and `{written}` is of type `{type_name}`",
                    signature.name,
                    parameter.name(),
                );
                self.diagnostics.push(
                    Diagnostic::new(&codes::ARGUMENT_TYPE, span, message)
                        .with_secondary(argument.span, "this argument"),
                );
                fine = false;
            } else if parameter == Parameter::ConstantString {
                fine &= self.check_network(signature, argument, span);
            }
        }
        fine
    }

    fn check_network(&mut self, signature: &Signature, argument: &Bound, span: Span) -> bool {
        let problem = match argument.as_constant() {
            None => Some("must be a constant"),
            Some(Some(Value::String(text))) if parse_block(text).is_none() => {
                Some("is no network such as `10.0.0.0/8` or `fe80::/10`")
            }
            Some(_) => None,
        };
        let Some(problem) =
            problem.filter(|_| matches!(signature.target, Target::Function(Function::CidrMatch)))
        else {
            return true;
        };
        let message = format!("`{}` {problem}", argument.span.text(self.text));
        self.diagnostics.push(
            Diagnostic::new(&codes::ARGUMENT_TYPE, span, message)
                .with_secondary(argument.span, "this argument"),
        );
        false
    }
}

/// How many letters differ, by Levenshtein's measure; names here are short.
pub(crate) fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (position, letter) in a.chars().take(64).enumerate() {
        let mut next = vec![position + 1];
        for (other, pair) in b.iter().zip(row.windows(2)) {
            let (&[diagonal, above], Some(left)) = (pair, next.last()) else {
                continue;
            };
            let cost = (diagonal + usize::from(letter != *other))
                .min(above + 1)
                .min(left + 1);
            next.push(cost);
        }
        row = next;
    }
    row.last().copied().unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    #[test]
    fn distance_counts_edits() {
        assert_eq!(super::distance("lenght", "length"), 2);
        assert_eq!(super::distance("", "abc"), 3);
        assert_eq!(super::distance("kitten", "sitting"), 3);
    }
}
