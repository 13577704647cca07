//! A condition in the form in which PostgreSQL's catalogue writes it (`pg_get_expr`), as far as it is understood.

use super::condition_tokens::{Token, tokens};
use crate::database::{Column, ColumnValue, UserType};
use std::cmp::Ordering;

/// A value of SQL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum SqlValue {
    Null,
    Truth(bool),
    /// A number: so many of the parts of one that the second says, as a power of ten.
    Number(i128, u32),
    Text(TextKind, String),
}

/// What kind of value a text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TextKind {
    /// A text, whose order depends on its collation.
    Plain,
    /// A date of four digits, two and two.
    Date,
    Uuid,
    /// A word of an enumeration.
    Word,
}

/// A condition, or a part of one.
#[derive(Clone, Debug)]
pub(super) enum SqlCondition {
    Value(SqlValue),
    Column(String),
    Not(Box<SqlCondition>),
    Minus(Box<SqlCondition>),
    /// All of them, or one at least.
    Of(bool, Vec<SqlCondition>),
    Compare(&'static str, Box<SqlCondition>, Box<SqlCondition>),
    /// With one of the list, or with all of it.
    Listed(&'static str, bool, Box<SqlCondition>, Vec<SqlCondition>),
    Calculate(&'static str, Box<SqlCondition>, Box<SqlCondition>),
    /// Whether it is null, or a truth value.
    Is(Box<SqlCondition>, Option<bool>),
    Distinct(Box<SqlCondition>, Box<SqlCondition>),
}

/// How deep a part of a condition may lie.
const DEEPEST: usize = 50;
const COMPARISONS: [&str; 6] = ["=", "<>", "<=", ">=", "<", ">"];
const CALCULATIONS: [&str; 4] = ["+", "-", "*", "%"];

/// Reads a condition; `None` where it is not understood.
pub(super) fn parse(text: &str) -> Option<SqlCondition> {
    let mut parser = Parser { tokens: tokens(text)?, at: 0, depth: 0 };
    let condition = parser.expression()?;
    (parser.at == parser.tokens.len()).then_some(condition)
}

impl SqlValue {
    /// The value of a column; `None` where its type, or its text, is none that is understood.
    pub(super) fn of(column: &Column, cell: &ColumnValue) -> Option<Self> {
        let text = match cell {
            ColumnValue::Null => return Some(Self::Null),
            ColumnValue::Unchanged => return None,
            ColumnValue::Text(text) => text,
        };
        let of = |kind| Some(Self::Text(kind, text.clone()));
        match (&column.user_type, column.type_oid) {
            (UserType::Enum, _) => of(TextKind::Word),
            (UserType::Named(_), _) => None,
            (UserType::No, 16) => Some(Self::Truth(text == "t")),
            (UserType::No, 20 | 21 | 23 | 1700) => Self::number(text),
            (UserType::No, 25 | 1043) => of(TextKind::Plain),
            (UserType::No, 1042) => Some(Self::Text(TextKind::Plain, text.trim_end_matches(' ').to_owned())),
            (UserType::No, 1082) => Self::date(text),
            (UserType::No, 2950) => of(TextKind::Uuid),
            (UserType::No, _) => None,
        }
    }

    pub(super) fn number(text: &str) -> Option<Self> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let fraction = fraction.trim_end_matches('0');
        let digits = fraction.bytes().all(|byte| byte.is_ascii_digit());
        let count = u32::try_from(fraction.len()).ok()?;
        digits.then(|| format!("{whole}{fraction}").parse().ok())?.map(|number| Self::Number(number, count))
    }

    fn date(text: &str) -> Option<Self> {
        let parts: Vec<&str> = text.split('-').collect();
        let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
        let digits = parts.concat().bytes().all(|byte| byte.is_ascii_digit());
        (lengths == [4, 2, 2] && digits).then(|| Self::Text(TextKind::Date, text.to_owned()))
    }

    /// A constant, or what is brought to another type.
    fn cast(self, name: &str) -> Option<Self> {
        Some(match (self, name) {
            (Self::Null, _) => Self::Null,
            (number @ Self::Number(..), "numeric") => number,
            (number @ Self::Number(_, 0), "smallint" | "integer" | "bigint") => number,
            (Self::Text(TextKind::Plain, text), "smallint" | "integer" | "bigint" | "numeric") => Self::number(&text)?,
            (Self::Text(TextKind::Plain, text), "text" | "character varying") => Self::Text(TextKind::Plain, text),
            (Self::Text(TextKind::Plain, text), "bpchar" | "character") => {
                Self::Text(TextKind::Plain, text.trim_end_matches(' ').to_owned())
            }
            (Self::Text(TextKind::Plain, text), "date") => Self::date(&text)?,
            (Self::Text(TextKind::Plain, text), "uuid") => Self::Text(TextKind::Uuid, text),
            // Types of users: of those only enumerations have values here that it can be held against.
            (Self::Text(TextKind::Plain, text), _) => Self::Text(TextKind::Word, text),
            _ => return None,
        })
    }

    /// The order of two values; `None` where it is not known.
    fn order(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Truth(one), Self::Truth(two)) => Some(one.cmp(two)),
            (Self::Number(..), Self::Number(..)) => self.with(other, |one, two| Some(one.cmp(&two)))?.0,
            (Self::Text(TextKind::Date, one), Self::Text(TextKind::Date, two)) => Some(one.cmp(two)),
            (Self::Text(one_kind, one), Self::Text(two_kind, two)) if one_kind == two_kind && one == two => {
                Some(Ordering::Equal)
            }
            _ => None,
        }
    }

    fn equals(&self, other: &Self) -> Option<bool> {
        match (self, other) {
            (Self::Text(one_kind, one), Self::Text(two_kind, two)) if one_kind == two_kind => Some(one == two),
            _ => self.order(other).map(Ordering::is_eq),
        }
    }

    /// Both numbers in the same parts of one, and how these are written.
    fn with<R>(&self, other: &Self, then: impl Fn(i128, i128) -> R) -> Option<(R, u32)> {
        let (Self::Number(one, one_parts), Self::Number(two, two_parts)) = (self, other) else { return None };
        let parts = *one_parts.max(two_parts);
        let one = one.checked_mul(10i128.checked_pow(parts - one_parts)?)?;
        let two = two.checked_mul(10i128.checked_pow(parts - two_parts)?)?;
        Some((then(one, two), parts))
    }

    fn compare(&self, operator: &str, other: &Self) -> Option<Self> {
        if *self == Self::Null || *other == Self::Null {
            return Some(Self::Null);
        }
        Some(Self::Truth(match operator {
            "=" => self.equals(other)?,
            "<>" => !self.equals(other)?,
            // Where texts are equal no collation decides; where they are not, one does.
            "<" => self.ordered(other)?.is_lt(),
            "<=" => self.ordered(other)?.is_le(),
            ">" => self.ordered(other)?.is_gt(),
            _ => self.ordered(other)?.is_ge(),
        }))
    }

    fn ordered(&self, other: &Self) -> Option<Ordering> {
        let orderless = matches!(self, Self::Text(kind, _) if *kind != TextKind::Date);
        self.order(other).filter(|_| !orderless)
    }
}

impl SqlCondition {
    /// Its value for a row whose columns have these values.
    pub(super) fn value(&self, columns: &dyn Fn(&str) -> Option<SqlValue>) -> Option<SqlValue> {
        Some(match self {
            Self::Value(value) => value.clone(),
            Self::Column(name) => columns(name)?,
            Self::Not(part) => part.truth(columns)?.map_or(SqlValue::Null, |truth| SqlValue::Truth(!truth)),
            Self::Minus(part) => match part.value(columns)? {
                SqlValue::Number(number, parts) => SqlValue::Number(number.checked_neg()?, parts),
                SqlValue::Null => SqlValue::Null,
                _ => return None,
            },
            Self::Of(all, parts) => {
                let parts: Vec<Option<bool>> = parts.iter().map(|part| part.truth(columns)).collect::<Option<_>>()?;
                together(*all, &parts)
            }
            Self::Compare(operator, one, two) => one.value(columns)?.compare(operator, &two.value(columns)?)?,
            Self::Listed(operator, all, one, list) => {
                let one = one.value(columns)?;
                let with = |other: &Self| one.compare(operator, &other.value(columns)?)?.truth();
                together(*all, &list.iter().map(with).collect::<Option<Vec<_>>>()?)
            }
            Self::Calculate(operator, one, two) => calculated(operator, &one.value(columns)?, &two.value(columns)?)?,
            Self::Is(part, None) => SqlValue::Truth(part.value(columns)? == SqlValue::Null),
            Self::Is(part, Some(truth)) => SqlValue::Truth(part.truth(columns)? == Some(*truth)),
            Self::Distinct(one, two) => match (one.value(columns)?, two.value(columns)?) {
                (SqlValue::Null, other) | (other, SqlValue::Null) => SqlValue::Truth(other != SqlValue::Null),
                (one, two) => SqlValue::Truth(!one.equals(&two)?),
            },
        })
    }

    /// A truth value, or null.
    fn truth(&self, columns: &dyn Fn(&str) -> Option<SqlValue>) -> Option<Option<bool>> {
        self.value(columns)?.truth()
    }
}

impl SqlValue {
    fn truth(&self) -> Option<Option<bool>> {
        match self {
            Self::Truth(truth) => Some(Some(*truth)),
            Self::Null => Some(None),
            _ => None,
        }
    }
}

/// AND and OR with SQL's three values.
fn together(all: bool, parts: &[Option<bool>]) -> SqlValue {
    if parts.contains(&Some(!all)) {
        SqlValue::Truth(!all)
    } else if parts.contains(&None) {
        SqlValue::Null
    } else {
        SqlValue::Truth(all)
    }
}

fn calculated(operator: &str, one: &SqlValue, two: &SqlValue) -> Option<SqlValue> {
    if [one, two].contains(&&SqlValue::Null) {
        return Some(SqlValue::Null);
    }
    let (result, parts) = one.with(two, |one, two| match operator {
        "+" => one.checked_add(two),
        "-" => one.checked_sub(two),
        "*" => one.checked_mul(two),
        _ => one.checked_rem(two),
    })?;
    (operator == "+" || operator == "-" || parts == 0).then_some(SqlValue::Number(result?, parts))
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
}

impl Parser {
    fn is_next(&self, word: &str) -> bool {
        self.tokens.get(self.at).is_some_and(|token| token.is(word))
    }

    /// Passes a word, or a sign, if it is the next.
    fn took(&mut self, word: &str) -> bool {
        let next = self.is_next(word);
        self.at += usize::from(next);
        next
    }

    fn must(&mut self, word: &str) -> Option<()> {
        self.took(word).then_some(())
    }

    fn one_of(&mut self, words: &[&'static str]) -> Option<&'static str> {
        let word = *words.iter().find(|word| self.is_next(word))?;
        self.at += 1;
        Some(word)
    }

    fn expression(&mut self) -> Option<SqlCondition> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return None;
        }
        let expression = self.combined();
        self.depth -= 1;
        expression
    }

    /// Every part is in brackets, so that no operator binds more than another one.
    fn combined(&mut self) -> Option<SqlCondition> {
        if self.took("NOT") {
            return Some(SqlCondition::Not(Box::new(self.operand()?)));
        }
        if self.took("-") {
            return Some(SqlCondition::Minus(Box::new(self.operand()?)));
        }
        let first = self.operand()?;
        if let Some(word) = self.one_of(&["AND", "OR"]) {
            let mut parts = vec![first, self.operand()?];
            while self.took(word) {
                parts.push(self.operand()?);
            }
            return Some(SqlCondition::Of(word == "AND", parts));
        }
        if self.took("IS") {
            return self.is(first);
        }
        if let Some(operator) = self.one_of(&COMPARISONS) {
            return match self.one_of(&["ANY", "ALL"]) {
                Some(word) => Some(SqlCondition::Listed(operator, word == "ALL", Box::new(first), self.list()?)),
                None => Some(SqlCondition::Compare(operator, Box::new(first), Box::new(self.operand()?))),
            };
        }
        match self.one_of(&CALCULATIONS) {
            Some(operator) => Some(SqlCondition::Calculate(operator, Box::new(first), Box::new(self.operand()?))),
            None => Some(first),
        }
    }

    fn is(&mut self, part: SqlCondition) -> Option<SqlCondition> {
        let not = self.took("NOT");
        let part = Box::new(part);
        let is = match self.one_of(&["NULL", "UNKNOWN", "TRUE", "FALSE", "DISTINCT"])? {
            "TRUE" => SqlCondition::Is(part, Some(true)),
            "FALSE" => SqlCondition::Is(part, Some(false)),
            "DISTINCT" => {
                self.must("FROM")?;
                SqlCondition::Distinct(part, Box::new(self.operand()?))
            }
            _ => SqlCondition::Is(part, None),
        };
        Some(if not { SqlCondition::Not(Box::new(is)) } else { is })
    }

    /// `(ARRAY[1, 2])`, with or without a type.
    fn list(&mut self) -> Option<Vec<SqlCondition>> {
        self.must("(")?;
        let inner = self.took("(");
        self.must("ARRAY")?;
        self.must("[")?;
        let mut list = vec![self.operand()?];
        while self.took(",") {
            list.push(self.operand()?);
        }
        self.must("]")?;
        if inner {
            self.must(")")?;
            self.must("::")?;
            let name = self.type_name()?;
            self.must("[")?;
            self.must("]")?;
            ["text", "integer", "bigint", "numeric"].contains(&name.as_str()).then_some(())?;
        }
        self.must(")")?;
        Some(list)
    }

    /// A value, a column, or something in brackets, with what it is brought to.
    fn operand(&mut self) -> Option<SqlCondition> {
        let mut operand = if self.took("(") {
            let inner = self.expression()?;
            self.must(")")?;
            inner
        } else {
            self.at += 1;
            match self.tokens.get(self.at - 1)? {
                Token::Text(text) => SqlCondition::Value(SqlValue::Text(TextKind::Plain, text.clone())),
                Token::Number(text) => SqlCondition::Value(SqlValue::number(text)?),
                Token::Word(word) if word == "TRUE" => SqlCondition::Value(SqlValue::Truth(true)),
                Token::Word(word) if word == "FALSE" => SqlCondition::Value(SqlValue::Truth(false)),
                Token::Word(word) if word == "NULL" => SqlCondition::Value(SqlValue::Null),
                Token::Name(name) if !self.is_next("(") => SqlCondition::Column(name.clone()),
                _ => return None,
            }
        };
        while self.took("::") {
            let name = self.type_name()?;
            operand = match operand {
                SqlCondition::Value(value) => SqlCondition::Value(value.cast(&name)?),
                // To a type that has every value; which one a column has is seen when it is compared.
                other => ["text", "numeric"].contains(&name.as_str()).then_some(other)?,
            };
        }
        Some(operand)
    }

    /// The name of a type, of one word or more.
    fn type_name(&mut self) -> Option<String> {
        let mut words = Vec::new();
        while let Some(Token::Name(name)) = self.tokens.get(self.at) {
            words.push(name.clone());
            self.at += 1;
        }
        // One with a length cuts or pads.
        (!words.is_empty() && !self.is_next("(") && !self.is_next(".")).then(|| words.join(" "))
    }
}
