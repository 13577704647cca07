//! Types of columns with values that are apt to be written in more than one way.

use rand::prelude::*;
use rand::rngs::StdRng;

/// A type of columns.
#[derive(Debug)]
pub struct Kind {
    /// Its name in SQL.
    pub sql: &'static str,
    /// Rows may be told apart by it.
    pub key: bool,
    /// Values as PostgreSQL reads them.
    values: &'static [&'static str],
    /// Values that Debezium has no form for, or another one: for columns that may be null.
    odd: &'static [&'static str],
}

const fn key(sql: &'static str, values: &'static [&'static str]) -> Kind {
    Kind { sql, key: true, values, odd: &[] }
}

const fn value(sql: &'static str, values: &'static [&'static str]) -> Kind {
    Kind { sql, key: false, values, odd: &[] }
}

const fn odd(sql: &'static str, values: &'static [&'static str], odd: &'static [&'static str]) -> Kind {
    Kind { sql, key: true, values, odd }
}

const TEXTS: &[&str] = &[
    "",
    "a",
    "B",
    "ü😀",
    "quote's \"twice\"",
    "back\\slash",
    "tab\tnew\nline",
    "NULL",
    "null",
    "42",
    "{\"a\":1}",
    "  blanks ",
    "__debezium_unavailable",
];

/// What the types of an extension or of the user need to exist.
pub const TYPES: &str = "\
CREATE EXTENSION IF NOT EXISTS hstore; CREATE EXTENSION IF NOT EXISTS citext; CREATE EXTENSION IF NOT EXISTS ltree;
DO $types$ BEGIN
  CREATE TYPE mood AS ENUM ('sad', 'ok', 'Very Happy'); CREATE TYPE pair AS (a int, b text);
  CREATE DOMAIN whole AS integer CHECK (VALUE > -1000000); CREATE DOMAIN price AS numeric(8,3);
EXCEPTION WHEN duplicate_object THEN NULL; END $types$;";

pub const KINDS: &[Kind] = &[
    key("boolean", &["t", "f"]),
    key("smallint", &["-32768", "32767", "0", "7", "42"]),
    key("integer", &["-2147483648", "2147483647", "0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]),
    key("bigint", &["-9223372036854775808", "9223372036854775807", "0", "1", "9007199254740993", "12", "13"]),
    odd("real", &["0.1", "1e10", "-0", "3.4028235e38", "16777216", "1.5"], &["NaN", "Infinity", "-Infinity"]),
    odd("double precision", &["0.1", "1e300", "-0", "1", "123456789.125", "2.5e-10"], &["NaN", "Infinity"]),
    key("numeric(10,2)", &["1.50", "-3", "0", "99999999.99", "-0.01", "1.28", "-1.28", "327.68"]),
    key("numeric(6,0)", &["1234", "-1", "0", "999999", "128", "-128"]),
    odd(
        "numeric",
        &["1.50", "100", "123456789012345678901234567890.123456789", "-0.000001", "0", "0.00", "7"],
        &["1e100"],
    ),
    key("price", &["1.500", "-3", "0", "12345.678"]),
    key("text", TEXTS),
    key("varchar(40)", TEXTS),
    key("char(6)", &["ab", "abcdef", "ü", "", "A"]),
    key("citext", &["Ab", "b", "C d"]),
    key(
        "uuid",
        &[
            "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11",
            "00000000-0000-0000-0000-000000000000",
            "123e4567-e89b-42d3-a456-426614174000",
        ],
    ),
    key("bytea", &["\\x", "\\x00ff", "\\x0102ff", "\\xfbff", "\\x6869", "\\xdeadbeefcafe"]),
    odd(
        "date",
        &["2024-02-29", "1969-12-31", "1970-01-01", "9999-12-31", "1600-03-01"],
        &["infinity", "-infinity", "0044-03-15 BC", "12345-01-01"],
    ),
    odd("time", &["00:00", "23:59:59.999999", "12:34:56.5", "00:00:00.000001"], &["24:00:00"]),
    key("time(3)", &["00:00", "23:59:59.999", "12:34:56.5"]),
    key("timetz", &["12:00:00+05:30", "01:00:00+02", "23:59:59.999999-11", "00:00:00+00"]),
    odd(
        "timestamp",
        &["2024-05-01 12:00:00.123456", "1969-12-31 23:59:59.9995", "2000-01-01", "1970-01-01", "1600-01-01 00:00:01"],
        &["infinity", "-infinity", "0044-03-15 12:00:00 BC", "12345-01-01"],
    ),
    key("timestamp(3)", &["2024-05-01 12:00:00.123", "1969-12-31 23:59:59.999", "2000-01-01"]),
    odd(
        "timestamptz",
        &[
            "2024-05-01 12:00:00.5+00",
            "2024-05-01 12:00:01+05:30",
            "1969-12-31 23:59:59.999999Z",
            "2000-01-01 00:00+14",
        ],
        &["infinity", "-infinity", "12345-01-01+00"],
    ),
    key(
        "interval",
        &[
            "1 day 2 hours",
            "-3 days",
            "1 year 2 mons 03:04:05.5",
            "0",
            "1 mon",
            "-1 mon +2 days -00:00:01.25",
            "100 years",
        ],
    ),
    key("inet", &["10.0.0.1", "10.0.0.0/8", "::1", "2001:db8::/32"]),
    key("cidr", &["10.0.0.0/8", "192.168.1.0/24", "10.0.0.1/32"]),
    key("macaddr", &["08:00:2b:01:02:03", "ff:ff:ff:ff:ff:ff"]),
    key("bit(1)", &["0", "1"]),
    key("bit(12)", &["000000000000", "111111111111", "000000000001", "100000000000"]),
    key("varbit(9)", &["", "1", "101", "000000000", "100000000"]),
    key("money", &["12.34", "-0.07", "0", "1234567.89"]),
    key("mood", &["sad", "ok", "Very Happy"]),
    key("whole", &["-5", "0", "1", "77"]),
    key("oid", &["0", "1", "4294967295"]),
    key("ltree", &["a.b.c", "a", "Top.Science"]),
    key("int4range", &["[1,5)", "empty", "(,3]", "[7,)"]),
    value(
        "json",
        &["{\"b\":1,\"a\":[1,2.50,null]}", "\"text\"", "null", "17", "[]", "{\"z\": 1, \"z\": 2}", "{\"n\": 1e400}"],
    ),
    value("jsonb", &["{\"b\":1,\"a\":[1,2.50,null]}", "\"text\"", "null", "17", "[]", "{\"ü\": {\"deep\": [true]}}"]),
    value("xml", &["<a>b</a>", "<a b='c'/>"]),
    value("point", &["(1,2.5)", "(-0.5,1e10)"]),
    value("tstzrange", &["[2024-01-01 00:00+00,2024-02-01 00:00+00)", "empty"]),
    value("int[]", &["{1,2,NULL}", "{}", "{7}", "{{1,2},{3,4}}"]),
    value("text[]", &["{\"a b\",\"c,d\",NULL}", "{}", "{\"\"}", "{\"q\\\"\",\"back\\\\\\\\\"}", "{NULL,\"NULL\"}"]),
    value("uuid[]", &["{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}", "{}"]),
    value("numeric(8,2)[]", &["{1.50,-2,NULL}", "{}"]),
    value("timestamptz[]", &["{\"2024-05-01 12:00:00.5+00\"}", "{}"]),
    value("bytea[]", &["{\"\\\\\\\\x0102\"}", "{}"]),
    value("boolean[]", &["{t,f,NULL}"]),
    value("mood[]", &["{sad,\"Very Happy\"}"]),
    value("hstore", &["\"a\"=>\"1\", \"b\"=>NULL", "", "\"q \\\" q\"=>\"x=>y\""]),
    value("tsvector", &["'a':1 'b':2"]),
    value("pair", &["(1,b)", "(,\"x y\")"]),
    value("\"char\"", &["x", "y"]),
    value("name", &["some_name", "Other Name"]),
];

impl Kind {
    pub fn named(sql: &str) -> &'static Self {
        KINDS.iter().find(|kind| kind.sql == sql).expect("a type of that name")
    }

    pub fn random(rng: &mut StdRng, key: bool) -> &'static Self {
        let fitting: Vec<&Self> = KINDS.iter().filter(|kind| kind.key || !key).collect();
        // Whole numbers and text are what most tables have.
        let usual = rng.random_bool(if key { 0.4 } else { 0.2 });
        if usual {
            let name = ["integer", "text", "bigint"].choose(rng).expect("a name");
            return fitting.into_iter().find(|kind| kind.sql == *name).expect("a usual type");
        }
        fitting.choose(rng).expect("a type")
    }

    /// A value as text; an odd one only where the column may be null.
    pub fn value(&self, rng: &mut StdRng, nullable: bool) -> String {
        let many = match self.sql {
            "integer" | "bigint" | "whole" => Some(rng.random_range(0..400).to_string()),
            "text" | "varchar(40)" => Some(format!("text {}", rng.random_range(0..400))),
            _ => None,
        };
        if let Some(value) = many.filter(|_| rng.random_bool(0.6)) {
            return value;
        }
        let odd = nullable && !self.odd.is_empty() && rng.random_bool(0.15);
        let pool = if odd { self.odd } else { self.values };
        (*pool.choose(rng).expect("a value")).to_owned()
    }
}

/// A text as an SQL literal.
pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// An identifier quoted for SQL.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
