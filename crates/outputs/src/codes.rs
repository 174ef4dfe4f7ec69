//! The kinds of problems that an output can have beside those of every configuration.

neph_diag::codes! {
    FILTER = Error "output-filter": "the filter of an output cannot be run", "The query is right, but needs more than may be held against one alert.";
    TEMPLATE = Error "output-template": "the template of an output has a mistake", "Templates are those of Jinja (<https://docs.rs/minijinja/latest/minijinja/syntax/>). \
The message names what was not understood, and where.

```jinja
{{ alert.rule.name }: {{ alert.message }}   {# a brace is missing #}
```";
    SETTING = Error "output-setting": "a setting of an output cannot be used", "A URL without `http://` or `https://`, an address without its port, a header with characters that no header \
may have, a chat that is missing where the shape needs one.";
}
