//! Amounts as people write them.

use weft_types::Wei;

/// Units and how many digits each is above wei.
const UNITS: [(&str, usize); 4] = [("ether", 18), ("eth", 18), ("gwei", 9), ("wei", 0)];

/// An amount in wei from a whole number of wei, or a decimal number and a unit.
pub(super) fn amount(text: &str) -> Result<Wei, String> {
    let wrong = || format!("expected wei, or as in 1.5ether or 20gwei: {text}");
    let text = text.trim();
    let unit = UNITS.iter().find_map(|(unit, digits)| Some((text.strip_suffix(unit)?, *digits)));
    let (number, digits) = unit.unwrap_or((text, 0));
    let (whole, part) = number.trim().split_once('.').unwrap_or((number.trim(), ""));
    let plain = |digits: &str| digits.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !plain(whole) || !plain(part) || part.len() > digits {
        return Err(wrong());
    }
    format!("{whole}{part:0<digits$}").parse().map_err(|_| wrong())
}

/// An amount in ether, to four digits; in gwei or wei if that would show nothing of it.
pub(super) fn ether(wei: Wei) -> String {
    let in_unit = |digits: u32, unit: &str| {
        let parts = wei / 10u128.pow(digits - 4);
        (parts > 0 || wei == 0).then(|| format!("{}.{:04} {unit}", parts / 10_000, parts % 10_000))
    };
    in_unit(18, "ether").or_else(|| in_unit(9, "gwei")).unwrap_or_else(|| format!("{wei} wei"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_units() {
        assert_eq!(amount("17"), Ok(17));
        assert_eq!(amount("17wei"), Ok(17));
        assert_eq!(amount("32ether"), Ok(32 * 10u128.pow(18)));
        assert_eq!(amount("1.5 eth"), Ok(15 * 10u128.pow(17)));
        assert_eq!(amount("0.25gwei"), Ok(250_000_000));
        for wrong in ["", "ether", "1.5", "-1", "1e18", "0.1234567891gwei", "1.2.3ether", "0x1"] {
            assert!(amount(wrong).is_err(), "{wrong}");
        }
        assert!(amount(&"9".repeat(40)).is_err());
    }

    #[test]
    fn ether_is_shown_short() {
        assert_eq!(ether(15 * 10u128.pow(17) + 1), "1.5000 ether");
        assert_eq!(ether(0), "0.0000 ether");
        assert_eq!(ether(10u128.pow(14)), "0.0001 ether");
        assert_eq!(ether(10u128.pow(14) - 1), "99999.9999 gwei");
        assert_eq!(ether(99_999), "99999 wei");
    }
}
