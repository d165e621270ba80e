//! Variable-length integers and bounded reads for the two hand-laid encodings.
//!
//! A varint is LEB128: seven bits a byte, lowest first, the top bit set on all but the last. Only
//! the shortest form is accepted, so that a value has one encoding.

use std::io::{self, Read, Write};

pub(crate) fn invalid(message: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}

pub(crate) fn write_varint<W: Write>(out: &mut W, mut value: u64) -> io::Result<()> {
    loop {
        let low = value.to_le_bytes()[0] & 0x7f;
        value >>= 7;
        if value == 0 {
            return out.write_all(&[low]);
        }
        out.write_all(&[low | 0x80])?;
    }
}

pub(crate) fn read_varint<R: Read>(input: &mut R) -> io::Result<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = read_array::<1, R>(input)?[0];
        let bits = u64::from(byte & 0x7f);
        if shift == 63 && bits > 1 {
            return Err(invalid("varint above u64"));
        }
        value |= bits << shift;
        if byte & 0x80 == 0 {
            if byte == 0 && shift > 0 {
                return Err(invalid("varint not in its shortest form"));
            }
            return Ok(value);
        }
    }
    Err(invalid("varint too long"))
}

/// A signed difference as an unsigned number with small values for small distances.
pub(crate) fn zigzag(from: u64, to: u64) -> u64 {
    let difference = i64::from_le_bytes(to.wrapping_sub(from).to_le_bytes());
    u64::from_le_bytes(((difference << 1) ^ (difference >> 63)).to_le_bytes())
}

/// The inverse of [`zigzag`]: `to`, given `from`.
pub(crate) fn unzigzag(from: u64, code: u64) -> u64 {
    from.wrapping_add((code >> 1) ^ (code & 1).wrapping_neg())
}

pub(crate) fn read_array<const N: usize, R: Read>(input: &mut R) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    input.read_exact(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn varint_round_trips(value: u64) {
            let mut bytes = Vec::new();
            write_varint(&mut bytes, value).unwrap();
            prop_assert_eq!(read_varint(&mut bytes.as_slice()).unwrap(), value);
        }

        #[test]
        fn zigzag_round_trips(from: u64, to: u64) {
            prop_assert_eq!(unzigzag(from, zigzag(from, to)), to);
        }
    }

    #[test]
    fn refuses_other_forms_of_a_number() {
        for bytes in [&[0x80, 0x00][..], &[0xff, 0x80, 0x00], &[0xff; 10], &[0x80; 11], &[]] {
            assert!(read_varint(&mut &bytes[..]).is_err(), "{bytes:?}");
        }
    }
}
