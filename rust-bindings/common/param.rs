// SPDX-License-Identifier: GPL-2.0

//! Module parameters that can be read and written at run time.
//!
//! The parameters of the `module!` macro are set once, at load time, and are not in sysfs. These
//! have mode 0644, may be given on the module's command line and on the kernel's, and have code
//! that checks a new value before it takes effect.
//!
//! C header: [`include/linux/moduleparam.h`](srctree/include/linux/moduleparam.h)

use core::{
    fmt,
    marker::PhantomData,
    mem::MaybeUninit, //
};
use kernel::{
    bindings,
    error::from_result,
    page::PAGE_SIZE,
    prelude::*,
    str::CStr,
    sync::atomic::{
        Atomic,
        Relaxed, //
    },
};

/// Whether the module is loaded. While it is being loaded, parameters are set before its
/// initialization.
static RUNNING: Atomic<bool> = Atomic::new(false);

/// Whether the module is loaded, so that parameters are set through sysfs.
pub(crate) fn is_running() -> bool {
    RUNNING.load(Relaxed)
}

/// The module is loaded.
pub(crate) fn set_running() {
    RUNNING.store(true, Relaxed);
}

/// The value behind a parameter. Calls are serialized by the kernel's parameter lock.
pub(crate) trait Value {
    /// Whether the parameter may be given by name alone, without a value.
    const FLAG: bool = false;

    /// Takes a new value from its text, which may end in a newline. May sleep. On an error, the old
    /// value stays in force.
    fn set(text: &CStr) -> Result;

    /// Frees the value: the module is unloaded, or could not be loaded.
    fn free() {}

    /// Writes the value's text, at most a page of it. Fails only when the page is full.
    fn show(out: &mut Page<'_>) -> fmt::Result;
}

/// The page that a parameter's text goes into.
///
/// # Invariants
///
/// The first `len` bytes are initialized, and valid UTF-8.
pub(crate) struct Page<'a> {
    bytes: &'a mut [MaybeUninit<u8>],
    len: usize,
}

impl Page<'_> {
    /// How many bytes still fit.
    pub(crate) fn room(&self) -> usize {
        self.bytes.len() - self.len
    }
}

impl fmt::Write for Page<'_> {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        let slots = self
            .bytes
            .get_mut(self.len..self.len + s.len())
            .ok_or(fmt::Error)?;

        for (slot, &byte) in slots.iter_mut().zip(s.as_bytes()) {
            slot.write(byte);
        }
        // INVARIANT: The bytes were just written.
        self.len += s.len();
        Ok(())
    }
}

/// # Safety
///
/// `val` is null or a C string. To be called by the parameter code only.
unsafe extern "C" fn set<V: Value>(
    val: *const c_char,
    _param: *const bindings::kernel_param,
) -> c_int {
    from_result(|| {
        let text = if val.is_null() {
            c"1"
        } else {
            // SAFETY: By the safety requirement.
            unsafe { CStr::from_char_ptr(val) }
        };

        V::set(text)?;
        Ok(0)
    })
}

/// # Safety
///
/// `buffer` is valid for writes of a page. To be called by the parameter code only.
unsafe extern "C" fn get<V: Value>(
    buffer: *mut c_char,
    _param: *const bindings::kernel_param,
) -> c_int {
    // sysfs warns of a text that fills the page.
    let mut page = Page {
        // SAFETY: By the safety requirement.
        bytes: unsafe { core::slice::from_raw_parts_mut(buffer.cast(), PAGE_SIZE - 1) },
        len: 0,
    };

    match V::show(&mut page) {
        Ok(()) => page.len as c_int,
        Err(fmt::Error) => EINVAL.to_errno(),
    }
}

/// To be called by the parameter code only.
extern "C" fn free<V: Value>(_arg: *mut c_void) {
    V::free();
}

/// The operations of a parameter whose value is `V`.
pub(crate) struct Ops<V>(PhantomData<V>);

impl<V: Value> Ops<V> {
    /// For `struct kernel_param`.
    pub(crate) const OPS: &'static bindings::kernel_param_ops = &bindings::kernel_param_ops {
        flags: if V::FLAG {
            bindings::KERNEL_PARAM_OPS_FL_NOARG as c_uint
        } else {
            0
        },
        set: Some(set::<V>),
        get: Some(get::<V>),
        free: Some(free::<V>),
    };
}

/// Appends a NUL to a string, in a constant.
pub(crate) const fn nul_terminated<const N: usize>(text: &str) -> [u8; N] {
    let mut bytes = [0; N];
    let mut at = 0;

    while at < text.len() {
        bytes[at] = text.as_bytes()[at];
        at += 1;
    }
    bytes
}

/// Puts a string into a section.
macro_rules! section_string {
    ($section:literal, $text:expr) => {
        const _: () = {
            const LENGTH: usize = $text.len() + 1;
            #[link_section = $section]
            #[used(compiler)]
            static TEXT: [u8; LENGTH] = $crate::common::param::nul_terminated($text);
        };
    };
}
pub(crate) use section_string;

/// Declares a parameter of the module: its name, the type that implements [`Value`] for it, what
/// `modinfo` says of its type, and what it does.
macro_rules! writable_param {
    ($module:literal, $name:literal, $value:ty, $type:literal, $description:literal) => {
        #[cfg(MODULE)]
        $crate::common::param::section_string!(
            ".modinfo",
            concat!("parm=", $name, ":", $description)
        );
        #[cfg(MODULE)]
        $crate::common::param::section_string!(".modinfo", concat!("parmtype=", $name, ":", $type));
        #[cfg(not(MODULE))]
        $crate::common::param::section_string!(
            ".modinfo",
            concat!($module, ".parm=", $name, ":", $description)
        );
        #[cfg(not(MODULE))]
        $crate::common::param::section_string!(
            ".modinfo",
            concat!($module, ".parmtype=", $name, ":", $type)
        );

        const _: () = {
            #[link_section = "__param"]
            #[used(compiler)]
            static PARAM: kernel::module_param::KernelParam =
                kernel::module_param::KernelParam::new(kernel::bindings::kernel_param {
                    name: if cfg!(MODULE) {
                        concat!($name, "\0").as_ptr().cast()
                    } else {
                        concat!($module, ".", $name, "\0").as_ptr().cast()
                    },
                    #[cfg(MODULE)]
                    mod_: core::ptr::addr_of!(kernel::bindings::__this_module).cast_mut(),
                    #[cfg(not(MODULE))]
                    mod_: core::ptr::null_mut(),
                    ops: <$crate::common::param::Ops<$value>>::OPS,
                    perm: 0o644,
                    // A built-in parameter is parsed right before the device initcalls, and not
                    // with the early ones: setting it may allocate.
                    level: 6,
                    flags: 0,
                    __bindgen_anon_1: kernel::bindings::kernel_param__bindgen_ty_1 {
                        arg: core::ptr::null_mut(),
                    },
                });
        };
    };
}
pub(crate) use writable_param;
