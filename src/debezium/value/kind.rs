//! Types of columns, as far as their values are compared alike.

use crate::database::{Column, UserType};
use tokio_postgres::types::{Kind as PgKind, Type};

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ValueKind {
    Bool,
    Int,
    Float4,
    Float8,
    /// The event has PostgreSQL's text.
    Text,
    /// PostgreSQL's text as well, of types that not every version of Debezium writes.
    Notation,
    /// Text whose trailing blanks have no meaning.
    Char,
    /// PostgreSQL's text, which may depend on the session: only agreement is certain.
    Loose,
    Uuid,
    Inet,
    Json,
    Numeric,
    Money,
    Date,
    Time,
    TimeTz,
    Timestamp,
    TimestampTz,
    Interval,
    Bytea,
    Bits,
    Hstore,
    Point,
    /// An array of that.
    Array(u32),
}

impl ValueKind {
    pub(super) fn of(column: &Column) -> Self {
        match &column.user_type {
            UserType::Enum => return Self::Text,
            UserType::Named(name) if &**name == "hstore" => return Self::Hstore,
            UserType::Named(name) if matches!(&**name, "citext" | "ltree") => return Self::Text,
            UserType::Named(_) => return Self::Loose,
            UserType::No => {}
        }
        let Some(ty) = Type::from_oid(column.type_oid) else { return Self::Loose };
        match ty {
            Type::BOOL => Self::Bool,
            Type::INT2 | Type::INT4 | Type::INT8 | Type::OID => Self::Int,
            Type::FLOAT4 => Self::Float4,
            Type::FLOAT8 => Self::Float8,
            Type::TEXT | Type::VARCHAR => Self::Text,
            Type::XML | Type::MACADDR | Type::MACADDR8 => Self::Notation,
            Type::INT4_RANGE | Type::INT8_RANGE | Type::NUM_RANGE | Type::DATE_RANGE => Self::Notation,
            Type::BPCHAR => Self::Char,
            Type::UUID => Self::Uuid,
            Type::INET | Type::CIDR => Self::Inet,
            Type::JSON | Type::JSONB => Self::Json,
            Type::NUMERIC => Self::Numeric,
            Type::MONEY => Self::Money,
            Type::DATE => Self::Date,
            Type::TIME => Self::Time,
            Type::TIMETZ => Self::TimeTz,
            Type::TIMESTAMP => Self::Timestamp,
            Type::TIMESTAMPTZ => Self::TimestampTz,
            Type::INTERVAL => Self::Interval,
            Type::BYTEA => Self::Bytea,
            Type::BIT | Type::VARBIT => Self::Bits,
            Type::POINT => Self::Point,
            ref ty => match ty.kind() {
                PgKind::Array(element) => Self::Array(element.oid()),
                _ => Self::Loose,
            },
        }
    }

    /// Whether Debezium writes such a column whatever its version: one that is absent from an event has been left out.
    pub(super) fn is_always_written(self) -> bool {
        let sometimes = [Self::Loose, Self::Notation, Self::Point, Self::Hstore, Self::Bits, Self::Money];
        !sometimes.contains(&self) && !matches!(self, Self::Array(_))
    }

    /// Whether two different canonical forms prove two different values.
    pub(super) fn is_exact(self) -> bool {
        match self {
            Self::Loose => false,
            // Elements of user-defined and rare types are not told apart from their notation.
            Self::Array(element) => Type::from_oid(element).is_some_and(|ty| {
                matches!(
                    ty,
                    Type::BOOL
                        | Type::INT2
                        | Type::INT4
                        | Type::INT8
                        | Type::TEXT
                        | Type::VARCHAR
                        | Type::UUID
                        | Type::DATE
                )
            }),
            _ => true,
        }
    }
}
