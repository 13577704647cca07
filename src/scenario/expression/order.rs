//! The expressions of `if` and `each`, in which values of different kinds have no order.
//!
//! The language puts the kinds themselves in an order: every text is greater than every number. An expression that is to find a
//! negative amount would then be true of `"-5"`. Each comparison is therefore made a call of a function that says what is wrong.

use crate::text::short;
use minijinja::machinery::ast::{BinOpKind, CallArg, CompareOpKind, Expr, UnaryOpKind};
use minijinja::machinery::parse_expr;
use minijinja::value::{Kwargs, ValueKind};
use minijinja::{Environment, Error, ErrorKind, State, UndefinedBehavior, Value, filters};

/// Characters shown of a value that cannot be compared.
const SHOWN: usize = 40;

/// What compares two values.
struct Comparison {
    /// The function that stands in its place.
    function: &'static str,
    /// Its sign, and the tests that ask the same.
    names: &'static [&'static str],
    /// Whether it asks which of the two is greater.
    ordered: bool,
    holds: fn(&Value, &Value) -> bool,
}

static COMPARISONS: [Comparison; 6] = [
    Comparison { function: "is_eq", names: &["==", "eq", "equalto"], ordered: false, holds: |a, b| a == b },
    Comparison { function: "is_ne", names: &["!=", "ne"], ordered: false, holds: |a, b| a != b },
    Comparison { function: "is_lt", names: &["<", "lt", "lessthan"], ordered: true, holds: |a, b| a < b },
    Comparison { function: "is_le", names: &["<=", "le"], ordered: true, holds: |a, b| a <= b },
    Comparison { function: "is_gt", names: &[">", "gt", "greaterthan"], ordered: true, holds: |a, b| a > b },
    Comparison { function: "is_ge", names: &[">=", "ge"], ordered: true, holds: |a, b| a >= b },
];

/// Makes an environment strict: what is missing is an error, and so is a comparison of what cannot be compared. The filters `int` and
/// `float` are there, and take null for no number.
pub fn strict(mut environment: Environment<'static>) -> Environment<'static> {
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    for comparison in &COMPARISONS {
        let compare = move |a: Value, b: Value| compared(comparison, &a, &b);
        environment.add_function(comparison.function, compare);
        comparison.names.iter().for_each(|name| environment.add_test(*name, compare));
    }
    environment.add_filter("int", int);
    environment.add_filter("float", float);
    environment
}

/// The expression as an environment that is [`strict`] has to evaluate it.
///
/// # Errors
/// It is not an expression.
pub fn guarded(text: &str) -> Result<String, Error> {
    Ok(rewritten(&parse_expr(text)?))
}

fn compared(comparison: &Comparison, a: &Value, b: &Value) -> Result<bool, Error> {
    if a.is_undefined() || b.is_undefined() {
        return Err(ErrorKind::UndefinedError.into());
    }
    let kinds = (a.kind(), b.kind());
    let is_mixed = matches!(kinds, (ValueKind::String, ValueKind::Number) | (ValueKind::Number, ValueKind::String));
    let relation = if comparison.ordered && !have_order(a, b) {
        "have no order"
    } else if !comparison.ordered && is_mixed && (reads_as_number(a) || reads_as_number(b)) {
        "are never equal"
    } else {
        return Ok((comparison.holds)(a, b));
    };
    let told = |value: &Value| format!("`{}` ({})", short(&value.to_string(), SHOWN), kind(value));
    let help = if is_mixed { "; `| int` or `| float` makes a number of a text" } else { "" };
    Err(refusal(format!("{} and {} {relation}{help}", told(a), told(b))))
}

fn have_order(a: &Value, b: &Value) -> bool {
    use ValueKind::{Bool, Bytes, Number, Seq, String};
    let is_nan = |value: &Value| f64::try_from(value.clone()).is_ok_and(f64::is_nan);
    match (a.kind(), b.kind()) {
        (Number, Number) => !is_nan(a) && !is_nan(b),
        (Bool, Bool) | (String, String) | (Bytes, Bytes) | (Seq, Seq) => true,
        _ => false,
    }
}

/// Whether it is a text that a person takes for a number.
fn reads_as_number(value: &Value) -> bool {
    value.as_str().and_then(|text| text.trim().parse::<f64>().ok()).is_some_and(f64::is_finite)
}

fn kind(value: &Value) -> String {
    match value.kind() {
        ValueKind::None => "null".to_owned(),
        ValueKind::Bool => "true or false".to_owned(),
        ValueKind::Number => "a number".to_owned(),
        ValueKind::String => "a text".to_owned(),
        ValueKind::Seq => "a list".to_owned(),
        ValueKind::Map => "an object".to_owned(),
        other => other.to_string(),
    }
}

fn refusal(text: String) -> Error {
    Error::new(ErrorKind::InvalidOperation, text)
}

fn int(
    state: &State<'_, '_>,
    value: &Value,
    default: Option<Value>,
    base: Option<u32>,
    kwargs: Kwargs,
) -> Result<Value, Error> {
    is_there(value, default.as_ref(), &kwargs)?;
    filters::int(state, value, default, base, kwargs)
}

fn float(state: &State<'_, '_>, value: &Value, default: Option<Value>, kwargs: Kwargs) -> Result<Value, Error> {
    is_there(value, default.as_ref(), &kwargs)?;
    filters::float(state, value, default, kwargs)
}

/// The language makes 0 of null, which would then be within every bound.
fn is_there(value: &Value, default: Option<&Value>, kwargs: &Kwargs) -> Result<(), Error> {
    if value.is_none() && default.is_none() && !kwargs.has("default") {
        return Err(refusal("null is no number".to_owned()));
    }
    Ok(())
}

/// An expression with a function in the place of each comparison. What is made of several parts stands in parentheses.
fn rewritten(expression: &Expr<'_>) -> String {
    match expression {
        Expr::Var(var) => var.id.to_owned(),
        Expr::Const(constant) => literal(&constant.value),
        Expr::Slice(slice) => {
            let part = |part: &Option<Expr<'_>>| part.as_ref().map(rewritten).unwrap_or_default();
            let base = rewritten(&slice.expr);
            format!("{base}[{}:{}:{}]", part(&slice.start), part(&slice.stop), part(&slice.step))
        }
        Expr::UnaryOp(unary) => match unary.op {
            UnaryOpKind::Not => format!("(not {})", rewritten(&unary.expr)),
            UnaryOpKind::Neg => format!("(-{})", rewritten(&unary.expr)),
        },
        Expr::BinOp(binary) => operation(sign(binary.op), &binary.left, &binary.right),
        Expr::Compare(chain) => {
            let mut left = &chain.expr;
            let mut links = Vec::new();
            for link in &chain.ops {
                links.push(link_of(link.op, left, &link.expr));
                left = &link.expr;
            }
            format!("({})", links.join(" and "))
        }
        Expr::IfExpr(choice) => {
            let otherwise = choice.false_expr.as_ref().map(|other| format!(" else {}", rewritten(other)));
            let (value, test) = (rewritten(&choice.true_expr), rewritten(&choice.test_expr));
            format!("({value} if {test}{})", otherwise.unwrap_or_default())
        }
        Expr::Filter(filter) => {
            let base = filter.expr.as_ref().map(rewritten).unwrap_or_default();
            format!("({base}|{}({}))", filter.name, arguments(&filter.args))
        }
        Expr::Test(test) => format!("({} is {}({}))", rewritten(&test.expr), test.name, arguments(&test.args)),
        Expr::GetAttr(attribute) => format!("{}.{}", rewritten(&attribute.expr), attribute.name),
        Expr::GetItem(item) => format!("{}[{}]", rewritten(&item.expr), rewritten(&item.subscript_expr)),
        Expr::Call(call) => format!("{}({})", rewritten(&call.expr), arguments(&call.args)),
        Expr::List(list) => format!("[{}]", all(&list.items)),
        Expr::Tuple(tuple) if tuple.items.len() == 1 => format!("({},)", all(&tuple.items)),
        Expr::Tuple(tuple) => format!("({})", all(&tuple.items)),
        Expr::Map(map) => {
            let entries = map.keys.iter().zip(&map.values);
            let entries = entries.map(|(key, value)| format!("{}: {}", rewritten(key), rewritten(value)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
        }
    }
}

fn all(items: &[Expr<'_>]) -> String {
    items.iter().map(rewritten).collect::<Vec<_>>().join(", ")
}

fn arguments(arguments: &[CallArg<'_>]) -> String {
    let argument = |argument: &CallArg<'_>| match argument {
        CallArg::Pos(value) => rewritten(value),
        CallArg::Kwarg(name, value) => format!("{name}={}", rewritten(value)),
        CallArg::PosSplat(value) => format!("*{}", rewritten(value)),
        CallArg::KwargSplat(value) => format!("**{}", rewritten(value)),
    };
    arguments.iter().map(argument).collect::<Vec<_>>().join(", ")
}

/// A link of `a < b < c`.
fn link_of(op: CompareOpKind, left: &Expr<'_>, right: &Expr<'_>) -> String {
    let sign = match op {
        CompareOpKind::Eq => "==",
        CompareOpKind::Ne => "!=",
        CompareOpKind::Lt => "<",
        CompareOpKind::Lte => "<=",
        CompareOpKind::Gt => ">",
        CompareOpKind::Gte => ">=",
        CompareOpKind::In => "in",
        CompareOpKind::NotIn => return format!("(not {})", operation("in", left, right)),
    };
    operation(sign, left, right)
}

fn operation(sign: &'static str, left: &Expr<'_>, right: &Expr<'_>) -> String {
    let (first, second) = (rewritten(left), rewritten(right));
    if let Some(comparison) = COMPARISONS.iter().find(|comparison| comparison.names.first() == Some(&sign)) {
        return format!("{}({first}, {second})", comparison.function);
    }
    // A long chain of one operator, from left to right, needs no parentheses, of which the language allows 150 in each other.
    let goes_on = matches!(left, Expr::BinOp(inner) if self::sign(inner.op) == sign);
    let inner = first.strip_prefix('(').and_then(|inner| inner.strip_suffix(')')).filter(|_| goes_on);
    format!("({} {sign} {second})", inner.unwrap_or(&first))
}

fn sign(op: BinOpKind) -> &'static str {
    match op {
        BinOpKind::Eq => "==",
        BinOpKind::Ne => "!=",
        BinOpKind::Lt => "<",
        BinOpKind::Lte => "<=",
        BinOpKind::Gt => ">",
        BinOpKind::Gte => ">=",
        BinOpKind::ScAnd => "and",
        BinOpKind::ScOr => "or",
        BinOpKind::Add => "+",
        BinOpKind::Sub => "-",
        BinOpKind::Mul => "*",
        BinOpKind::Div => "/",
        BinOpKind::FloorDiv => "//",
        BinOpKind::Rem => "%",
        BinOpKind::Pow => "**",
        BinOpKind::Concat => "~",
        BinOpKind::In => "in",
    }
}

fn literal(value: &Value) -> String {
    match (value.kind(), value.as_str()) {
        // The escapes of JSON are those of the language.
        (_, Some(text)) => serde_json::Value::from(text).to_string(),
        (ValueKind::None, _) => "none".to_owned(),
        (ValueKind::Bool, _) => value.is_true().to_string(),
        _ => format!("({value})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evaluated(text: &str) -> Result<Value, String> {
        let json = serde_json::json!({
            "five": 5, "minus": "-5", "word": "abc", "null": null, "list": [1, 2], "big": "9e3", "name": "a\"b\\\n",
            "deep": { "in": [{ "x": 7 }] }
        });
        let environment = strict(Environment::new());
        let rewritten = guarded(text).map_err(|error| error.to_string())?;
        let expression = environment.compile_expression(&rewritten).map_err(|error| format!("{rewritten}: {error}"))?;
        let names = std::collections::BTreeMap::from([("v", Value::from(minijinja::value::Serde(json)))]);
        expression.eval(names).map_err(|error| error.to_string())
    }

    #[test]
    fn kinds_that_differ_have_no_order() {
        for text in [
            "v.minus > 0",
            "v.word > 0",
            "0 < v.minus",
            "v.null < 9",
            "v.null <= v.null",
            "v.list > 3",
            "v.deep >= 3",
            "true > 0",
            "v.five < 'z'",
            "0 < v.five < v.word",
            "not (v.minus < 0)",
            "v.minus is gt(0)",
            "[v.minus] | select('>', 0) | list | length == 1",
            "v.minus != 0",
            "v.big == 9000",
            "v.missing > 1",
            "v.null | int < 9",
            "v.null | float < 9",
            "'nan' | float > 0",
            "v.word | int > 0",
        ] {
            assert!(evaluated(text).is_err(), "{text}: {:?}", evaluated(text));
        }
        let why = evaluated("v.minus > 0").expect_err("of two kinds");
        assert!(why.contains("`-5` (a text) and `0` (a number) have no order; `| int`"), "{why}");
    }

    #[test]
    fn every_form_of_an_expression_says_what_it_said() {
        for text in [
            "v.minus | int == -5 and v.big | float > 8999.5",
            "v.null | int(default=3) == 3 and v.word | int(4) == 4",
            "v.five > 4 and v.five >= 5 and v.five < 6 and v.five <= 5 and v.five == 5 and v.five != 6",
            "1 < v.five <= 5 != 4 in v.list or true",
            "v.word == 'abc' and v.word != 5 and v.word < 'b' and 'ab' in v.word and 'x' not in v.word",
            "v.name == \"a\\\"b\\\\\\n\" and v.null is none and v.null == none and v.five is not none",
            "v.deep.in[0].x + 1 * 2 - 3 == 6 and v.deep['in'][0]['x'] // 2 % 2 == 1 and 2 ** 3 == 8 and 7 / 2 == 3.5",
            "'a' ~ 1 ~ 2.5 == 'a12.5' and -v.five == -5 and (1 if v.five > 4 else 2) == 1",
            "[1, 2][-1] == 2 and 'abcd'[1:3] == 'bc' and 'abcd'[::2] == 'ac' and {'k': 1}.k == 1 and (1, 2)[0] == 1",
            "v.word.upper is undefined or v.word | upper | replace('A', 'x') == 'xBC'",
            "v.list == [1, 2] and [1, 2] < [1, 3] and false < true and range(3) | list | length == 3",
            "v.five is eq(5) and v.five is not lt(5) and v.list | select('>', 1) | list == [2] and v.five is odd",
            "10 - 3 - 2 == 5 and 2 - (3 - 4) == 3 and 100 / 10 / 5 == 2 and not false",
        ] {
            assert_eq!(evaluated(text), Ok(Value::from(true)), "{text} as {:?}", guarded(text));
        }
        assert_eq!(evaluated(&vec!["v.five == 5"; 80].join(" and ")), Ok(Value::from(true)));
    }
}
