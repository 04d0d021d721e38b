// SPDX-License-Identifier: GPL-2.0

//! Finds where a structure of the kernel's has a member, in the type information that the kernel
//! shows under `/sys/kernel/btf`.
//!
//! libbpf does that for the whole kernel and, for root, for modules. This needs no privilege. It
//! reads members that are at a byte of their own, of structures that have no others of that name.

const MAGIC: u16 = 0xeb9f;
const HEADER_SIZE: usize = 24;
const TYPE_SIZE: usize = 12;
const KIND_STRUCT: u32 = 4;

/// The offset in bytes of `member` in `structure`. `base` is the kernel's own information, which
/// that of a module goes on from; nothing if `btf` is the kernel's own. Nothing where there is no
/// such member, or `btf` is no type information.
pub fn member_offset(
    btf: &[u8],
    base: Option<&[u8]>,
    structure: &str,
    member: &str,
) -> Option<usize> {
    let header = Header::parse(btf)?;
    let before = match base {
        Some(base) => Header::parse(base)?.strings.1,
        None => 0,
    };
    let types = btf.get(header.types.0..header.types.0.checked_add(header.types.1)?)?;
    let strings = btf.get(header.strings.0..header.strings.0.checked_add(header.strings.1)?)?;
    let is_name = |at: u32, name: &str| {
        let at = (at as usize).checked_sub(before)?;
        let rest = strings.get(at..)?.strip_prefix(name.as_bytes())?;
        (rest.first() == Some(&0)).then_some(())
    };
    let mut rest = types;

    while rest.len() >= TYPE_SIZE {
        let info = word(rest, 4)?;
        let count = (info & 0xffff) as usize;
        let body = body_size((info >> 24) & 0x1f, count)?;
        let members = rest.get(TYPE_SIZE..TYPE_SIZE + body)?;
        if (info >> 24) & 0x1f == KIND_STRUCT && is_name(word(rest, 0)?, structure).is_some() {
            for one in members.chunks_exact(12) {
                if is_name(word(one, 0)?, member).is_some() {
                    // With the flag, the upper byte is the size of a bit field.
                    let bits = match info >> 31 {
                        0 => word(one, 8)?,
                        _ => word(one, 8)? & 0x00ff_ffff,
                    };
                    return (bits % 8 == 0).then_some(bits as usize / 8);
                }
            }
        }
        rest = &rest[TYPE_SIZE + body..];
    }
    None
}

/// Where types and strings are, and how long they are.
struct Header {
    types: (usize, usize),
    strings: (usize, usize),
}

impl Header {
    fn parse(btf: &[u8]) -> Option<Self> {
        let magic = u16::from_ne_bytes(btf.get(..2)?.try_into().ok()?);
        let length = word(btf, 4)? as usize;
        if magic != MAGIC || length < HEADER_SIZE {
            return None;
        }
        let at = |offset| length.checked_add(word(btf, offset)? as usize);
        Some(Self {
            types: (at(8)?, word(btf, 12)? as usize),
            strings: (at(16)?, word(btf, 20)? as usize),
        })
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at + 4)?;
    Some(u32::from_ne_bytes(bytes.try_into().ok()?))
}

/// How many bytes follow the head of a type. Nothing for a kind of later kernels.
fn body_size(kind: u32, count: usize) -> Option<usize> {
    Some(match kind {
        // Pointers, forward declarations, type definitions, qualifiers, functions, floats, tags.
        0 | 2 | 7..=12 | 16 | 18 => 0,
        // Numbers, variables, tags of declarations.
        1 | 14 | 17 => 4,
        // Arrays.
        3 => 12,
        // Structures, unions, sections, enumerations of 64 bits.
        4 | 5 | 15 | 19 => 12 * count,
        // Enumerations, parameters of functions.
        6 | 13 => 8 * count,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_ne_bytes()).collect()
    }

    fn btf(types: &[u32], strings: &[u8]) -> Vec<u8> {
        let mut btf = Vec::new();
        btf.extend(MAGIC.to_ne_bytes());
        btf.extend([1, 0]);
        let types = words(types);
        let size = types.len() as u32;
        btf.extend(words(&[24, 0, size, size, strings.len() as u32]));
        btf.extend(types);
        btf.extend(strings);
        btf
    }

    const STRINGS: &[u8] = b"\0int\0s\0first\0map\0sx\0";

    /// A number, an array of it, and `struct sx { int first; }`, `struct s { int first, map; }`,
    /// with names counted from `before`.
    fn types(before: u32) -> Vec<u32> {
        let n = |at: u32| before + at;
        vec![
            n(1),
            1 << 24,
            4,
            32, //
            0,
            3 << 24,
            0,
            1,
            1,
            8, //
            n(17),
            4 << 24 | 1,
            4,
            n(7),
            1,
            0, //
            n(5),
            4 << 24 | 2,
            8,
            n(7),
            1,
            0,
            n(13),
            1,
            64, //
        ]
    }

    #[test]
    fn a_member_is_found_in_the_kernel_and_in_a_module() {
        let own = btf(&types(0), STRINGS);
        assert_eq!(member_offset(&own, None, "s", "map"), Some(8));
        assert_eq!(member_offset(&own, None, "s", "first"), Some(0));
        assert_eq!(member_offset(&own, None, "sx", "map"), None);
        assert_eq!(member_offset(&own, None, "s", "ma"), None);

        let base = btf(&[], b"\0everything else\0");
        let module = btf(&types(17), STRINGS);
        assert_eq!(member_offset(&module, Some(&base), "s", "map"), Some(8));
        assert_eq!(member_offset(&module, None, "s", "map"), None);
    }

    #[test]
    fn what_is_no_type_information_has_no_member() {
        let own = btf(&types(0), STRINGS);
        for length in 0..own.len() {
            // Strings come last: without their end the name is not there.
            let found = member_offset(&own[..length], None, "s", "map");
            assert_eq!(found, None, "{length}");
        }
        let mut other = own.clone();
        other[0] = 0;
        assert_eq!(member_offset(&other, None, "s", "map"), None);
        // A kind that nothing is known of: what comes behind it cannot be found.
        let mut unknown = types(0);
        unknown[1] = 31 << 24;
        assert_eq!(
            member_offset(&btf(&unknown, STRINGS), None, "s", "map"),
            None
        );
    }

    #[test]
    fn a_bit_field_has_no_offset() {
        let mut flagged = types(0);
        let at = flagged.len() - 9;
        flagged[at + 1] |= 1 << 31;
        assert_eq!(
            member_offset(&btf(&flagged, STRINGS), None, "s", "map"),
            Some(8)
        );
        flagged[at + 8] = 3 << 24 | 65;
        assert_eq!(
            member_offset(&btf(&flagged, STRINGS), None, "s", "map"),
            None
        );
    }
}
