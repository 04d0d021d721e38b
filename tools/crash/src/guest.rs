// SPDX-License-Identifier: GPL-2.0

//! A guest: a firmware of 64 KiB that does nothing but write dwords of configuration space.

/// Bytes of the firmware, which ends at 4 GiB.
const SIZE: usize = 0x1_0000;
/// Where its program is.
const START: usize = 0xf000;
/// Where the processor begins.
const RESET: usize = 0xfff0;

/// A write of the guest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Write {
    /// The device, by its slot on the guest's bus 0.
    pub(crate) slot: u8,
    /// Where in configuration space, below 256.
    pub(crate) offset: u8,
    /// What.
    pub(crate) value: u32,
}

/// The firmware. It is in real mode all along: there is neither memory nor a stack that it needs.
pub(crate) fn firmware(writes: &[Write]) -> Vec<u8> {
    let mut program = vec![0xfa]; // cli
    for write in writes {
        let slot = u32::from(write.slot) << 11;
        let address = 0x8000_0000 | slot | u32::from(write.offset & 0xfc);
        program.extend(out(0xcf8, address));
        program.extend(out(0xcfc, write.value));
    }
    program.extend([0xf4, 0xeb, 0xfd]); // hlt; jmp to it
    let mut firmware = vec![0xff; SIZE];
    firmware[START..START + program.len()].copy_from_slice(&program);
    // jmp, relative to what is behind it.
    let jump = (START as u16).wrapping_sub(RESET as u16 + 3);
    firmware[RESET] = 0xe9;
    firmware[RESET + 1..RESET + 3].copy_from_slice(&jump.to_le_bytes());
    firmware
}

/// mov $port, %dx; mov $value, %eax; out %eax, (%dx)
fn out(port: u16, value: u32) -> Vec<u8> {
    let mut code = vec![0xba];
    code.extend(port.to_le_bytes());
    code.extend([0x66, 0xb8]);
    code.extend(value.to_le_bytes());
    code.extend([0x66, 0xef]);
    code
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_begins_with_a_jump_to_the_program() {
        let write = Write {
            slot: 5,
            offset: 0xf8,
            value: 0x1234_5678,
        };
        let firmware = firmware(&[write]);
        assert_eq!(firmware.len(), SIZE);
        assert_eq!(firmware[RESET], 0xe9);
        let jump = i16::from_le_bytes([firmware[RESET + 1], firmware[RESET + 2]]);
        assert_eq!(RESET as i32 + 3 + i32::from(jump), START as i32);
        let address = 0x8000_28f8u32.to_le_bytes();
        assert_eq!(
            firmware[START + 1..START + 6],
            [0xba, 0xf8, 0x0c, 0x66, 0xb8]
        );
        assert_eq!(firmware[START + 6..START + 10], address);
    }
}
