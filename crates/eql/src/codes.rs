//! The kinds of problems of EQL, with a page for each.

pub use neph_plan::codes::*;

neph_diag::codes! {
    SYNTAX_ERROR = Error "syntax-error": "the text does not follow the grammar of EQL";
    UNTERMINATED_STRING = Error "unterminated-string": "a string or a name in backquotes has no end on its line";
    INVALID_ESCAPE = Error "invalid-escape": "a backslash in a string starts no escape";
    SINGLE_QUOTES = Error "single-quotes": "a string stands in single quotes";
    OLD_RAW_STRING = Error "old-raw-string": "a raw string is written in the way of old";
    ASSIGNMENT_OPERATOR = Error "assignment-operator": "`=` stands where `==` is meant";
    FOREIGN_OPERATOR = Error "foreign-operator": "an operator or the case of a keyword comes from another language";
    EVENT_CATEGORY = Error "event-category": "the event category is missing or no name";
    JOIN_UNSUPPORTED = Error "join-unsupported": "the query is a `join`, which is not supported";
    PROCESS_RELATIONSHIP = Error "process-relationship": "the query asks for child, descendant or event of another event";
    ARRAY_INDEX = Error "array-index": "an element of an array is picked by its position";
    MAXSPAN_FORM = Error "maxspan-form": "`maxspan` is no whole number with a unit";
    RUNS_FORM = Error "runs-form": "`with runs` is no number from 1 to 100";
    STAGE_COUNT = Error "stage-count": "a sequence or sample has too few or too many steps";
    MISSING_EVENT = Error "missing-event": "a `![…]` step stands in a sequence that cannot have one";
    JOIN_KEY = Error "join-key": "the join keys of the steps do not fit together";
    UNSUPPORTED_PIPE = Error "unsupported-pipe": "a pipe is not supported or not known";
    PIPE_ARGUMENT = Error "pipe-argument": "the argument of a pipe is no count";
    NO_EXACT_VALUES = Error "no-exact-values": "a field keeps no exact values to compare with";
    UNKNOWN_FUNCTION = Error "unknown-function": "there is no such function";
    ARGUMENT_COUNT = Error "argument-count": "a function gets too few or too many arguments";
    ARGUMENT_TYPE = Error "argument-type": "a function or operator gets a value of the wrong type";
    CASE_MARKER = Error "case-marker": "a function that does not look at letters has a `~`";
    NOT_BOOLEAN = Error "not-boolean": "a condition is neither true nor false";
    FIELD_COMPARISON = Error "field-comparison": "a comparison has no constant side";
    CONSTANT_FAILS = Error "constant-fails": "a constant expression cannot be computed";
    INVALID_REGEX = Error "invalid-regex": "a regular expression is not valid";
    CASE_SENSITIVE = Warning "case-sensitive": "a value that comes in mixed case is compared case-sensitively";
    SEQUENCE_WITHOUT_KEY = Warning "sequence-without-key": "the events of a sequence need nothing in common";
    SEQUENCE_WITHOUT_MAXSPAN = Warning "sequence-without-maxspan": "a sequence may take any time";
    CONSTANT_CONDITION = Warning "constant-condition": "a condition is always true or never true";
    REGEX_LITERAL = Warning "regex-literal": "a regular expression has characters that are no operators here";
    DUPLICATE_VALUE = Warning "duplicate-value": "a list has a value twice";
    REDUNDANT_LIKE = Warning "redundant-like": "`like` has a pattern without wildcard";
}
