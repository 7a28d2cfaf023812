//! What a component without the standard library needs, which would import
//! `wasi:cli` and add 50 kB: an allocator, a panic handler, and the canonical
//! ABI's `cabi_realloc`.
//!
//! A component links it with `extern crate batchtask_runtime as _;` and gets
//! all three. Natively it is empty.

#![no_std]
#![cfg(target_arch = "wasm32")]
#![allow(unsafe_code, reason = "an allocator cannot be written without")]

extern crate alloc;

use alloc::alloc::{GlobalAlloc, Layout, alloc, realloc};
use core::arch::wasm32::{memory_grow, memory_size, unreachable};
use core::cell::UnsafeCell;
use core::ptr::{NonNull, null_mut, slice_from_raw_parts_mut};

use rlsf::{FlexSource, FlexTlsf};

/// The length of a page of memory, in bytes.
const PAGE_BYTES: usize = 1 << 16;

/// Blocks of up to 1 GiB by powers of two, each divided into 8: a table of
/// less than 1 kB.
type Tlsf = FlexTlsf<Pages, usize, usize, 26, 8>;

/// Frees memory for reuse: an instance may serve any number of requests.
#[global_allocator]
static ALLOCATOR: Allocator = Allocator(UnsafeCell::new(Tlsf::new(Pages::UNUSED)));

struct Allocator(UnsafeCell<Tlsf>);

// SAFETY: a component has one thread.
unsafe impl Sync for Allocator {}

// SAFETY: the blocks are those of `FlexTlsf`, which upholds the contract. No
// reference to it outlives a call, and no call happens during another.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: see above.
        let tlsf = unsafe { &mut *self.0.get() };
        tlsf.allocate(layout).map_or(null_mut(), NonNull::as_ptr)
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: see above.
        let tlsf = unsafe { &mut *self.0.get() };
        // SAFETY: the caller passes a block of this allocator, which is not
        // null, and its layout.
        unsafe { tlsf.deallocate(NonNull::new_unchecked(block), layout.align()) };
    }
}

/// The memory of the instance. What the stack and the data leave of its first
/// page comes first: a small request needs no more, and each further page costs
/// a call into the host and is cleared for the next instance.
struct Pages {
    /// Whether the end of the first page was handed out, or is too small.
    first_is_used: bool,
}

impl Pages {
    /// All zeros, as is the rest of the allocator: the binary need not hold it.
    const UNUSED: Self = Self {
        first_is_used: false,
    };
}

unsafe extern "C" {
    /// Where the linker's data ends.
    static __heap_base: u8;
}

// SAFETY: each block is handed out once: the end of the first page, or pages
// that the host has just added.
unsafe impl FlexSource for Pages {
    unsafe fn alloc(&mut self, min_size: usize) -> Option<NonNull<[u8]>> {
        // No product wraps: a memory has less than 4 GiB.
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

// `memcmp` and similar functions, which compiler_builtins lacks on this target.
#[link(name = "c")]
unsafe extern "C" {}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    unreachable()
}

/// Allocates what a host passes in.
///
/// # Safety
/// Called by the canonical ABI alone, with a block of this allocator or none.
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
    // SAFETY: the ABI passes a valid alignment, a size below 2 GiB, and
    // either nothing or a block that it got from here.
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
