//! What must hold of the table.

use std::collections::HashSet;

use super::*;

#[test]
fn keys_are_places_in_the_table_and_sections_stand_together() {
    for (at, setting) in SETTINGS.iter().enumerate() {
        assert_eq!(setting.key as usize, at, "{}", setting.key);
        assert_eq!(setting.key.setting(), setting);
    }
    let mut sections: Vec<Section> = SETTINGS.iter().map(|setting| setting.section).collect();
    sections.dedup();
    assert_eq!(sections, Section::ALL);
}

#[test]
fn names_and_variables_are_unique_and_everything_is_said() {
    let names: HashSet<String> = SETTINGS.iter().map(|setting| setting.key.to_string()).collect();
    let variables: HashSet<String> = SETTINGS.iter().map(Setting::variable).collect();
    assert_eq!((names.len(), variables.len()), (SETTINGS.len(), SETTINGS.len()));
    assert!(variables.contains("LANCEKEEPER_DATABASE_INDEX_CACHE_MB"));
    for setting in &SETTINGS {
        assert!(setting.doc.ends_with('.'), "{}", setting.key);
        assert!(!setting.default_text().is_empty(), "{}", setting.key);
    }
}

#[test]
fn every_default_is_a_value_that_its_setting_can_have() {
    for setting in &SETTINGS {
        match setting.default {
            Unset::Value(value) => {
                let shown = setting.kind.show(value);
                assert_eq!(setting.kind.read(&shown), Ok(value), "{}", setting.key);
            }
            Unset::As(key) => assert_eq!(key.setting().kind, setting.kind, "{}", setting.key),
            Unset::Without(_) => {}
        }
    }
}

/// A row of the table in docs/settings.md.
fn documented(setting: &Setting) -> String {
    let flag = setting.flag.map_or_else(String::new, |flag| format!("`{flag}`"));
    format!("| `{}` | {} | {flag} | {} |\n", setting.name, setting.default_text(), setting.doc)
}

#[test]
fn the_page_about_settings_has_every_row_of_this_table_and_no_other() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/settings.md");
    let page = std::fs::read_to_string(page).unwrap();
    let mut expected = String::new();
    for section in Section::ALL {
        expected += &format!(
            "\n### `[{}]`\n\n| setting | default | option | what |\n|---|---|---|---|\n",
            section.name()
        );
        expected.extend(SETTINGS.iter().filter(|row| row.section == section).map(documented));
    }
    let (begin, end) = ("<!-- settings -->\n", "\n<!-- end of settings -->");
    let table = page.split_once(begin).and_then(|(_, rest)| rest.split_once(end));
    let found = table.map_or("", |(table, _)| table);
    assert!(found == expected, "between its marks docs/settings.md should have:\n{expected}");
}
