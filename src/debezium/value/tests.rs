use super::modes::{Decimals, Times};
use super::*;
use serde_json::json;
use tokio_postgres::types::Type;

fn column(ty: &Type, type_modifier: i32) -> Column {
    Column {
        name: "c".into(),
        type_oid: ty.oid(),
        type_modifier,
        key: false,
        user_type: UserType::No,
        has_default: false,
    }
}

fn check(ty: &Type, type_modifier: i32, text: &str, value: &Value, modes: &Modes) -> Agreement {
    compare(&column(ty, type_modifier), &ColumnValue::Text(text.into()), value, modes)
}

/// Modes as they stand in a configuration, `key=value` separated by blanks.
fn modes(words: &str) -> Modes {
    let config = words.split_whitespace().filter_map(|word| word.split_once('='));
    let config = config.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    let (modes, strange) = Modes::of(&config);
    assert!(strange.is_empty(), "{strange:?}");
    modes
}

/// Type, modifier, PostgreSQL's text, settings, Debezium's value.
fn forms() -> Vec<(Type, i32, &'static str, &'static str, Value)> {
    let scale_2 = (10 << 16 | 2) + 4;
    let scale_0 = (10 << 16) + 4;
    let string = "decimal.handling.mode=string";
    let double = "decimal.handling.mode=double";
    vec![
        (Type::INT4, -1, "42", "", json!(42)),
        (Type::INT8, -1, "9007199254740993", "", json!(9_007_199_254_740_993_i64)),
        (Type::BOOL, -1, "t", "", json!(true)),
        (Type::FLOAT4, -1, "0.1", "", json!(0.1)),
        (Type::FLOAT8, -1, "1", "", json!(1.0)),
        (Type::FLOAT8, -1, "1e+300", "", json!(1e300)),
        (Type::FLOAT8, -1, "NaN", "", json!("NaN")),
        (Type::FLOAT8, -1, "-Infinity", "", json!("-Infinity")),
        (Type::NUMERIC, scale_2, "123.45", "", json!("MDk=")),
        (Type::NUMERIC, scale_2, "-1.00", "", json!("nA==")),
        (Type::NUMERIC, -1, "1.50", "", json!({"scale": 2, "value": "AJY="})),
        (Type::NUMERIC, -1, "1.50", "", json!({"scale": 1, "value": "Dw=="})),
        (Type::NUMERIC, scale_0, "1234", string, json!("1234")),
        (Type::NUMERIC, scale_0, "12345678", string, json!("12345678")),
        (Type::NUMERIC, scale_2, "12.50", string, json!("12.5")),
        (Type::NUMERIC, -1, "NaN", string, json!("NaN")),
        (Type::NUMERIC, -1, "100", string, json!("1E+2")),
        (Type::NUMERIC, scale_2, "12.50", double, json!(12.5)),
        (Type::NUMERIC, scale_2, "12.50", "value.converter.decimal.format=NUMERIC", json!(12.5)),
        (Type::MONEY, -1, "$12.34", "", json!("BNI=")),
        (Type::MONEY, -1, "$1,234.50", string, json!("1234.50")),
        (Type::MONEY, -1, "-$0.07", double, json!(-0.07)),
        (Type::MONEY, -1, "$12.50", "money.fraction.digits=4", json!("AehI")),
        (Type::MONEY, -1, "$12.50", "money.fraction.digits=0", json!("DQ==")),
        (Type::MONEY, -1, "-$0.07", "money.fraction.digits=0 decimal.handling.mode=string", json!("-0.07")),
        (Type::DATE, -1, "1970-01-11", "", json!(10)),
        (Type::DATE, -1, "1969-12-31", "time.precision.mode=connect", json!(-1)),
        (Type::DATE, -1, "2024-05-01", "time.precision.mode=isostring", json!("2024-05-01Z")),
        (Type::DATE, -1, "9999-12-31", "", json!(2_932_896)),
        (Type::TIMESTAMP, -1, "9999-12-31 23:59:59.999999", "", json!(253_402_300_799_999_999_i64)),
        (Type::TIMESTAMP, -1, "1970-01-01 00:00:01.5", "", json!(1_500_000)),
        (Type::TIMESTAMP, 3, "1970-01-01 00:00:01.5", "", json!(1500)),
        (Type::TIMESTAMP, -1, "1970-01-01 00:00:01.500999", "time.precision.mode=connect", json!(1500)),
        (Type::TIMESTAMP, -1, "1969-12-31 23:59:59.9995", "time.precision.mode=connect", json!(-1)),
        (Type::TIMESTAMP, 3, "1970-01-01 00:00:01.5", "time.precision.mode=microseconds", json!(1_500_000)),
        (Type::TIMESTAMP, 3, "1970-01-01 00:00:01.5", "time.precision.mode=nanoseconds", json!(1_500_000_000)),
        (Type::TIMESTAMPTZ, -1, "2024-05-01 14:00:00.25+02", "", json!("2024-05-01T12:00:00.250000Z")),
        (Type::TIMESTAMPTZ, -1, "2024-05-01 12:00:01+05:30", "", json!("2024-05-01T06:30:01Z")),
        (Type::TIME, -1, "00:00:02", "", json!(2_000_000)),
        (Type::TIME, 2, "00:00:02", "", json!(2000)),
        (Type::TIME, 2, "00:00:02", "time.precision.mode=adaptive_time_microseconds", json!(2_000_000)),
        (Type::TIMETZ, -1, "12:00:00+05:30", "", json!("06:30:00Z")),
        (Type::TIMETZ, -1, "01:00:00+02", "", json!("23:00:00Z")),
        (Type::INTERVAL, -1, "1 day 02:00:00", "", json!(93_600_000_000_i64)),
        (Type::INTERVAL, -1, "1 mon", "", json!(2_629_800_000_000_i64)),
        (Type::INTERVAL, -1, "-3 days", "interval.handling.mode=string", json!("P0Y0M-3DT0H0M0S")),
        (Type::INTERVAL, -1, "1 year 2 mons 03:04:05.5", "interval.handling.mode=string", json!("P1Y2M0DT3H4M5.5S")),
        (Type::BYTEA, -1, "\\x6869", "", json!("aGk=")),
        (Type::BYTEA, -1, "\\x", "", json!("")),
        (Type::BYTEA, -1, "\\xfbff", "binary.handling.mode=base64-url-safe", json!("-_8=")),
        (Type::BYTEA, -1, "\\x01020304", "binary.handling.mode=hex", json!("01020304")),
        (Type::BPCHAR, 9, "ab   ", "", json!("ab")),
        (Type::UUID, -1, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "", json!("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11")),
        (Type::INET, -1, "10.0.0.1", "", json!("10.0.0.1/32")),
        (Type::JSONB, -1, "{\"a\": 1, \"b\": 2}", "", json!("{\"b\":2,\"a\":1}")),
        (Type::JSON, -1, "{\"z\": 1, \"z\": 2}", "", json!("{\"z\": 1, \"z\": 2}")),
        (Type::BIT, 1, "1", "", json!(true)),
        (Type::VARBIT, 9, "101", "", json!("BQ==")),
        (Type::INT4_ARRAY, -1, "{1,NULL,3}", "", json!([1, null, 3])),
        (Type::TEXT_ARRAY, -1, "{\"a b\",\"c,d\",\"q\\\"\"}", "", json!(["a b", "c,d", "q\""])),
        (Type::POINT, -1, "(1,2.5)", "", json!({"x": 1.0, "y": 2.5, "wkb": "AA==", "srid": null})),
    ]
}

#[test]
fn every_form_of_debezium_is_understood() {
    for (ty, modifier, text, settings, value) in forms() {
        let modes = modes(settings);
        assert_eq!(check(&ty, modifier, text, &value, &modes), Agreement::Equal, "{ty} {text} {settings} {value}");
        let (column, cell) = (column(&ty, modifier), canonical_text(&column(&ty, modifier), text, &modes));
        assert_eq!(cell, canonical_value(&column, &value, &modes), "as a key: {ty} {text} {settings} {value}");
        assert_eq!(
            check(&ty, modifier, text, &value, &Modes::unknown()),
            Agreement::Equal,
            "guessed: {ty} {text} {value}"
        );
    }
}

#[test]
fn every_other_value_is_different() {
    for (ty, modifier, text, settings, _) in forms() {
        let wrong = match ty {
            Type::BOOL => json!(false),
            Type::BIT => json!(false),
            Type::POINT => json!({"x": 1.0, "y": 3.0}),
            Type::INT4_ARRAY => json!([1, null, 4]),
            Type::TEXT_ARRAY => json!(["a b"]),
            Type::VARBIT => json!("BA=="),
            Type::NUMERIC if modifier < 0 && settings.is_empty() => json!({"scale": 1, "value": "DQ=="}),
            Type::NUMERIC | Type::MONEY if settings.is_empty() => json!("AQ=="),
            Type::NUMERIC | Type::MONEY if settings.ends_with("string") => json!("7"),
            Type::NUMERIC | Type::MONEY => json!(7),
            Type::FLOAT4 | Type::FLOAT8 => json!(7.5),
            Type::TIMESTAMPTZ => json!("2024-05-01T12:00:00.250001Z"),
            Type::TIMETZ => json!("06:30:01Z"),
            Type::BYTEA if settings.ends_with("hex") => json!("ff"),
            Type::BYTEA => json!("AQ=="),
            Type::INTERVAL if settings.ends_with("string") => json!("P0Y0M1DT0H0M0S"),
            _ if settings.ends_with("isostring") => json!("2024-05-02Z"),
            Type::JSON | Type::JSONB => json!("{\"a\":2}"),
            Type::BPCHAR | Type::UUID | Type::INET => json!("other"),
            _ => json!(77_000_000_000_i64),
        };
        assert_eq!(check(&ty, modifier, text, &wrong, &modes(settings)), Agreement::Different, "{ty} {text} {wrong}");
        let null = check(&ty, modifier, text, &Value::Null, &modes(settings));
        assert_eq!(null, Agreement::Different, "{ty} {text} null");
    }
}

#[test]
fn what_cannot_be_told_is_not_compared() {
    let plain = Modes::default();
    for (ty, text, value) in [
        (Type::TEXT, "a", json!(plain.placeholder)),
        (Type::BYTEA, "\\x01", json!("X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ==")),
        (Type::TS_RANGE, "[1,2)", json!("other")),
        (Type::TIMESTAMP, "infinity", json!(9_223_372_036_825_200_000_i64)),
        (Type::TIMESTAMP, "0044-03-15 12:00:00 BC", json!(1)),
        (Type::DATE, "0044-03-15", json!(1)),
        (Type::JSONB, "{\"n\": 12345678901234567890123}", json!("{\"n\": 12345678901234567890124}")),
        (Type::INT4_ARRAY, "{{1},{2}}", json!([1, 2])),
    ] {
        assert_eq!(check(&ty, -1, text, &value, &plain), Agreement::NotCompared, "{ty} {text}");
    }
    // Debezium does not know this type: it writes nothing, or null.
    for value in [Value::Null, json!("")] {
        assert_eq!(check(&Type::NAME, -1, "some_name", &value, &plain), Agreement::NotCompared);
    }
    let unchanged = compare(&column(&Type::TEXT, -1), &ColumnValue::Unchanged, &json!("x"), &plain);
    assert_eq!(unchanged, Agreement::NotCompared);
}

#[test]
fn a_default_in_the_place_of_null_is_not_compared_unless_the_converter_leaves_nulls_alone() {
    let with = Column { has_default: true, ..column(&Type::INT4, -1) };
    let [plain, filled] = [column(&Type::INT4, -1), with];
    let usual = Modes::default();
    assert_eq!(compare(&filled, &ColumnValue::Null, &json!(7), &usual), Agreement::NotCompared);
    assert_eq!(compare(&filled, &ColumnValue::Null, &Value::Null, &usual), Agreement::Equal);
    assert_eq!(compare(&plain, &ColumnValue::Null, &json!(7), &usual), Agreement::Different);
    let settings = "value.converter=org.apache.kafka.connect.json.JsonConverter";
    let keeps = modes(&format!("{settings} value.converter.replace.null.with.default=false"));
    assert_eq!(compare(&filled, &ColumnValue::Null, &json!(7), &keeps), Agreement::Different);
    // Without a converter of the connector's own the worker's settings hold, which nobody tells.
    assert!(modes("value.converter.replace.null.with.default=false").fills_nulls);
}

#[test]
fn user_defined_types_and_settings() {
    let typed = |user_type| Column { user_type, type_oid: 99_999, ..column(&Type::TEXT, -1) };
    let plain = Modes::default();
    let hstore = typed(UserType::Named("hstore".into()));
    let text = ColumnValue::Text("\"a\"=>\"1\", \"b \\\" c\"=>NULL".into());
    for value in [json!("{\"a\":\"1\",\"b \\\" c\":null}"), json!({"b \" c": null, "a": "1"})] {
        assert_eq!(compare(&hstore, &text, &value, &plain), Agreement::Equal);
    }
    assert_eq!(compare(&hstore, &text, &json!({"a": "1"}), &plain), Agreement::Different);
    let mood = typed(UserType::Enum);
    assert_eq!(compare(&mood, &ColumnValue::Text("ok".into()), &json!("sad"), &plain), Agreement::Different);
    let other = typed(UserType::Named("complex".into()));
    assert_eq!(compare(&other, &ColumnValue::Text("(1,2)".into()), &json!({"re": 1}), &plain), Agreement::NotCompared);
    assert_eq!(modes("decimal.handling.mode=double").decimals, Decimals::Double);
    assert_eq!(modes("time.precision.mode=connect").times, Times::Connect);
    let config = [("time.precision.mode".to_owned(), "lunar".to_owned())].into();
    assert_eq!(Modes::of(&config).1, ["time.precision.mode=lunar"]);
}
