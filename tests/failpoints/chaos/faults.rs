//! Failpoints that are switched on and off at random, and what is heard of the panics they make.

use std::panic;
use std::sync::{Arc, Mutex, Once};

use anyhow::{Error, Result};
use lancekeeper_store::failpoint;

use super::dice::Dice;
use super::world::World;

/// More at once, and no verb gets to its end any more.
const MOST_AT_ONCE: usize = 6;
/// Said by every panic that a failpoint makes.
const INJECTED: &str = "panics as it is told";

/// Panics that no failpoint made.
static OTHER_PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Switches failpoints on and off until the world is over; then all are off.
pub(super) async fn storm(world: Arc<World>, mut dice: Dice) -> Result<()> {
    let mut on: Vec<&str> = Vec::new();
    while !world.is_over() {
        tokio::time::sleep(dice.millis(10, 120)).await;
        if on.len() == MOST_AT_ONCE || !on.is_empty() && dice.chance(30) {
            let name = on.remove(0);
            fail::remove(name);
            continue;
        }
        let Some(name) = dice.pick(failpoint::ALL) else { continue };
        let order = order(&mut dice);
        world.log(&format!("{name} = {order}"));
        fail::cfg(*name, &order).map_err(Error::msg)?;
        on.retain(|other| other != name);
        on.push(name);
    }
    calm();
    Ok(())
}

/// Switches all failpoints off.
pub(super) fn calm() {
    failpoint::ALL.iter().for_each(fail::remove);
}

/// What a failpoint does: from one of its crossings on, once or until it is switched off.
fn order(dice: &mut Dice) -> String {
    let action = match dice.roll(100) {
        0..45 => "return".to_owned(),
        45..80 => format!("sleep({})", dice.millis(5, 300).as_millis()),
        _ => format!("panic({INJECTED})"),
    };
    let how_often = if dice.chance(70) { "1*" } else { "" };
    match dice.roll(4) {
        0 => format!("{how_often}{action}"),
        skipped => format!("{skipped}*off->{how_often}{action}"),
    }
}

/// Keeps panics that are meant off the terminal, and the others in mind.
pub(super) fn quieten() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            let injected = panic.payload().downcast_ref::<String>().is_some_and(|s| s == INJECTED);
            if !injected {
                OTHER_PANICS.lock().unwrap().push(panic.to_string());
                before(panic);
            }
        }));
    });
}

/// Panics since the last call that no failpoint made.
pub(super) fn other_panics() -> Vec<String> {
    std::mem::take(&mut *OTHER_PANICS.lock().unwrap())
}
