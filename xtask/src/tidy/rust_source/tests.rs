//! Tests of the scanner.

use super::*;

fn production(text: &str) -> String {
    let (production, _) = without_tests(&blank(text, Literals::Blank));
    production.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn comments_and_literals_are_no_code() {
    assert_eq!(production("a(); // b()\n/* c /* d */ e */ f()"), "a(); f()");
    assert_eq!(production(r##"a("b \" c", r#"d " e"#, b'f', '"', "g")"##), "a( , , b , , )");
    assert_eq!(production("fn a<'b>(c: &'b str) { d('\\'') }"), "fn a<'b>(c: &'b str) { d( ) }");
    assert_eq!(production("let r#type = 'ß'; br\"x\"; end"), "let r#type = ; ; end");
}

#[test]
fn literals_can_be_kept_and_lines_stay_where_they_are() {
    assert_eq!(blank("a(\"b\") // c\n/*\n*/d", Literals::Keep), "a(\"b\")     \n  \n  d");
}

#[test]
fn items_for_tests_are_no_production_code() {
    assert_eq!(production("a; #[cfg(test)] mod b { c { } } d"), "a; d");
    assert_eq!(production("#[cfg(test)]\n#[path = \"x]\"]\nmod b; c"), "c");
    assert_eq!(production("#[cfg(test)] fn a<B, C>(x: [u8; 3]) -> D { e } f"), "f");
    assert_eq!(production("x { a: 1, #[cfg(test)] b: f(1, 2), c: 3 }"), "x { a: 1, c: 3 }");
    assert_eq!(production("x { #[cfg(test)] b: 3 } y"), "x { } y");
    assert_eq!(production("#[cfg(all(test, feature = \"f\"))] use a::b; c"), "c");
    assert_eq!(production("#[cfg(feature = \"failpoints\")] a; b"), "#[cfg(feature = )] a; b");
}

#[test]
fn a_file_declared_as_a_test_module_is_no_production_code() {
    let files = [
        ("crates/a/src/lib.rs", "mod b; #[cfg(test)] mod worlds;"),
        ("crates/a/src/b.rs", "x(); #[cfg(test)]\nmod tests;"),
        ("crates/a/src/b/tests.rs", "x()"),
        ("crates/a/src/worlds/small.rs", "x()"),
        ("tests/it/main.rs", "x()"),
    ];
    let files = files.map(|(path, text)| (path.to_owned(), text.to_owned()));
    let parsed = parse_all(files.iter().map(|(path, text)| (path, text)));
    let production: Vec<_> = parsed.iter().map(|file| file.production.trim()).collect();
    assert_eq!(production, ["mod b;", "x();", "", "", ""]);
}

#[test]
fn words_are_whole_words() {
    assert!(has_word("use failpoint::STAGE;", "STAGE"));
    assert!(!has_word("failpoint::STAGED, PRE_STAGE", "STAGE"));
    assert_eq!(lines_with("a\nb a\nc", "a").collect::<Vec<_>>(), [1, 2]);
}
