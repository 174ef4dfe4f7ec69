//! The functions: their names, how many arguments of which types they take.
//!
//! Source: <https://www.elastic.co/docs/reference/query-languages/eql/eql-function-ref>.

use neph_plan::{Arithmetic, Function};

use crate::types::Type;

/// A function that queries may call.
pub(crate) struct Signature {
    pub(crate) name: &'static str,
    pub(crate) target: Target,
    pub(crate) parameters: &'static [Parameter],
    /// How many of the parameters must be given.
    pub(crate) required: usize,
    /// Whether the last parameter may be given several times.
    pub(crate) variadic: bool,
    /// Whether the function has a form with `~`.
    pub(crate) has_case: bool,
    pub(crate) result: Type,
}

/// What a call becomes.
#[derive(Clone, Copy)]
pub(crate) enum Target {
    Function(Function),
    Arithmetic(Arithmetic),
}

/// What a parameter takes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parameter {
    Any,
    String,
    Boolean,
    Integer,
    Number,
    Ip,
    /// A string that is known before any event is seen.
    ConstantString,
}

impl Parameter {
    pub(crate) fn accepts(self, ty: Type) -> bool {
        match self {
            Self::Any => true,
            Self::String | Self::ConstantString => ty.is_string(),
            Self::Boolean => ty.is_boolean(),
            Self::Integer => ty.is_integral(),
            Self::Number => ty.is_numeric(),
            Self::Ip => ty.is_open() || ty == Type::Ip,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Any => "value",
            Self::String | Self::ConstantString => "string",
            Self::Boolean => "boolean",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Ip => "ip",
        }
    }
}

const fn function(
    name: &'static str,
    function: Function,
    parameters: &'static [Parameter],
    result: Type,
) -> Signature {
    let required = parameters.len();
    Signature {
        name,
        target: Target::Function(function),
        parameters,
        required,
        variadic: false,
        has_case: false,
        result,
    }
}

const fn operator(name: &'static str, operator: Arithmetic) -> Signature {
    let parameters = &[Parameter::Number, Parameter::Number];
    let target = Target::Arithmetic(operator);
    Signature {
        name,
        target,
        parameters,
        required: 2,
        variadic: false,
        has_case: false,
        result: Type::Dynamic,
    }
}

impl Signature {
    /// The last parameters may be left out.
    const fn requiring(mut self, required: usize) -> Self {
        self.required = required;
        self
    }

    /// The last parameter may be given several times.
    const fn variadic(mut self) -> Self {
        self.variadic = true;
        self
    }

    /// There is a form with `~`.
    const fn with_case(mut self) -> Self {
        self.has_case = true;
        self
    }
}

/// All of them, by name.
pub(crate) const SIGNATURES: &[Signature] = &[
    operator("add", Arithmetic::Add),
    function(
        "between",
        Function::Between,
        &[
            Parameter::String,
            Parameter::String,
            Parameter::String,
            Parameter::Boolean,
        ],
        Type::Keyword,
    )
    .requiring(3)
    .with_case(),
    function(
        "cidrMatch",
        Function::CidrMatch,
        &[Parameter::Ip, Parameter::ConstantString],
        Type::Boolean,
    )
    .variadic(),
    function("concat", Function::Concat, &[Parameter::Any], Type::Keyword).variadic(),
    operator("divide", Arithmetic::Divide),
    function(
        "endsWith",
        Function::EndsWith,
        &[Parameter::String, Parameter::String],
        Type::Boolean,
    )
    .with_case(),
    function(
        "indexOf",
        Function::IndexOf,
        &[Parameter::String, Parameter::String, Parameter::Number],
        Type::Integer,
    )
    .requiring(2)
    .with_case(),
    function("length", Function::Length, &[Parameter::String], Type::Integer),
    operator("modulo", Arithmetic::Modulo),
    operator("multiply", Arithmetic::Multiply),
    function(
        "number",
        Function::Number,
        &[Parameter::String, Parameter::Integer],
        Type::Double,
    )
    .requiring(1),
    function(
        "startsWith",
        Function::StartsWith,
        &[Parameter::String, Parameter::String],
        Type::Boolean,
    )
    .with_case(),
    function("string", Function::String, &[Parameter::Any], Type::Keyword),
    function(
        "stringContains",
        Function::StringContains,
        &[Parameter::String, Parameter::String],
        Type::Boolean,
    )
    .with_case(),
    function(
        "substring",
        Function::Substring,
        &[Parameter::String, Parameter::Integer, Parameter::Integer],
        Type::Keyword,
    )
    .requiring(2),
    operator("subtract", Arithmetic::Subtract),
];

/// The function of a name, in any case.
pub(crate) fn find(name: &str) -> Option<&'static Signature> {
    SIGNATURES
        .iter()
        .find(|signature| signature.name.eq_ignore_ascii_case(name))
}

/// What to use in place of a function that EQL had once.
pub(crate) fn replacement(name: &str) -> Option<&'static str> {
    Some(match name.to_ascii_lowercase().as_str() {
        "wildcard" => "use `:` or `like`, which take patterns: `field : (\"a*\", \"*b\")`",
        "match" | "matchlite" => "use `regex`: `field regex \"…\"`",
        "arraycontains" | "arraysearch" => {
            "a condition on a field asks whether any of its values matches: `field == \"value\"`"
        }
        "arraycount" => "values cannot be counted",
        "safe" => "use `?field` for a field that may not exist",
        _ => return None,
    })
}

impl Signature {
    /// How many arguments it takes, in words.
    pub(crate) fn arity(&self) -> String {
        const WORDS: [&str; 5] = ["no", "one", "two", "three", "four"];
        let word = |count: usize| WORDS.get(count).copied().unwrap_or("many");
        let most = self.parameters.len();
        match (self.variadic, self.required == most) {
            (true, _) => format!(
                "at least {} argument{}",
                word(self.required),
                if self.required == 1 { "" } else { "s" }
            ),
            (false, true) => format!(
                "exactly {} argument{}",
                word(most),
                if most == 1 { "" } else { "s" }
            ),
            (false, false) => format!("{} or {} arguments", word(self.required), word(most)),
        }
    }

    pub(crate) fn accepts_count(&self, count: usize) -> bool {
        count >= self.required && (self.variadic || count <= self.parameters.len())
    }

    pub(crate) fn parameter(&self, position: usize) -> Parameter {
        self.parameters
            .get(position)
            .or(self.parameters.last())
            .copied()
            .unwrap_or(Parameter::Any)
    }
}
