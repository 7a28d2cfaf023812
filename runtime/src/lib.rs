//! The runtime of a component without the standard library: an allocator, a
//! panic handler, and `cabi_realloc` of the canonical ABI. The standard library
//! would import `wasi:cli` and add 50 kB.
//!
//! A component links it with `extern crate batchtask_runtime as _;`. On native
//! targets the crate is empty.

#![no_std]
#![cfg(target_arch = "wasm32")]
#![allow(unsafe_code, reason = "an allocator needs it")]

extern crate alloc;

use alloc::alloc::{GlobalAlloc, Layout, alloc, realloc};
use core::arch::wasm32::{memory_grow, memory_size, unreachable};
use core::cell::UnsafeCell;
use core::ptr::{NonNull, null_mut, slice_from_raw_parts_mut};

use rlsf::{FlexSource, FlexTlsf};

/// The length of a page of memory, in bytes.
const PAGE_BYTES: usize = 1 << 16;

/// Size classes for blocks of up to 1 GiB: powers of two, each divided into 8.
/// The table takes less than 1 kB.
type Tlsf = FlexTlsf<Pages, usize, usize, 26, 8>;

/// The allocator. It reuses freed memory, because an instance may serve any
/// number of requests.
#[global_allocator]
static ALLOCATOR: Allocator = Allocator(UnsafeCell::new(Tlsf::new(Pages::UNUSED)));

struct Allocator(UnsafeCell<Tlsf>);

// SAFETY: a component has one thread.
unsafe impl Sync for Allocator {}

// SAFETY: `FlexTlsf` returns the blocks and upholds the contract. A reference to
// it exists only during a call, and there is only one call at a time.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: see above.
        let tlsf = unsafe { &mut *self.0.get() };
        tlsf.allocate(layout).map_or(null_mut(), NonNull::as_ptr)
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: see above.
        let tlsf = unsafe { &mut *self.0.get() };
        // SAFETY: the caller passes a block of this allocator, so it is not null,
        // and the layout of the block.
        unsafe { tlsf.deallocate(NonNull::new_unchecked(block), layout.align()) };
    }
}

/// The source of memory. It first returns the end of the first page, after the
/// stack and the data. That is enough for a small request. Each additional page
/// costs a call into the host, and must be cleared for the next instance.
struct Pages {
    /// Whether the end of the first page was returned, or was too small.
    first_is_used: bool,
}

impl Pages {
    /// The initial state. Like the rest of the allocator it is all zeros, so the
    /// binary does not contain it.
    const UNUSED: Self = Self {
        first_is_used: false,
    };
}

unsafe extern "C" {
    /// The linker puts this symbol at the end of the data.
    static __heap_base: u8;
}

// SAFETY: each block is returned once: the end of the first page, or pages that
// the host has just added.
unsafe impl FlexSource for Pages {
    unsafe fn alloc(&mut self, min_size: usize) -> Option<NonNull<[u8]>> {
        // No product wraps, because a memory has less than 4 GiB.
        if !core::mem::replace(&mut self.first_is_used, true) {
            let start = (&raw const __heap_base).addr();
            let length = memory_size::<0>()
                .wrapping_mul(PAGE_BYTES)
                .wrapping_sub(start);
            if length >= min_size {
                return block(start, length);
            }
        }
        let pages = min_size.div_ceil(PAGE_BYTES);
        match memory_grow::<0>(pages) {
            usize::MAX => None,
            before => block(
                before.wrapping_mul(PAGE_BYTES),
                pages.wrapping_mul(PAGE_BYTES),
            ),
        }
    }
}

fn block(start: usize, length: usize) -> Option<NonNull<[u8]>> {
    NonNull::new(slice_from_raw_parts_mut(
        core::ptr::with_exposed_provenance_mut(start),
        length,
    ))
}

// Links `memcmp` and similar functions, which compiler_builtins lacks on this
// target.
#[link(name = "c")]
unsafe extern "C" {}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    unreachable()
}

/// Allocates memory for values that the host passes in.
///
/// # Safety
/// Only the canonical ABI may call it, with a block of this allocator or none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cabi_realloc(
    old: *mut u8,
    old_len: usize,
    align: usize,
    new_len: usize,
) -> *mut u8 {
    if new_len == 0 {
        return core::ptr::without_provenance_mut(align);
    }
    // SAFETY: the ABI passes a valid alignment, a size below 2 GiB, and either no
    // block or one that this function returned.
    let new = unsafe {
        if old_len == 0 {
            alloc(Layout::from_size_align_unchecked(new_len, align))
        } else {
            realloc(
                old,
                Layout::from_size_align_unchecked(old_len, align),
                new_len,
            )
        }
    };
    if new.is_null() {
        unreachable();
    }
    new
}
