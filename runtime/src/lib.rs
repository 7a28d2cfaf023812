//! What the standard library would have brought, had it not brought
//! `wasi:cli` and 50 kB along: an allocator, an end to panics, and the
//! canonical ABI's `cabi_realloc`.
//!
//! A component links it with `extern crate batchtask_runtime as _;` and gets
//! all three. Natively it is empty.

#![no_std]
#![cfg(target_arch = "wasm32")]
#![allow(unsafe_code, reason = "an allocator cannot be written without")]

extern crate alloc;

use alloc::alloc::{Layout, alloc, realloc};
use core::arch::wasm32::unreachable;

/// Frees what is freed: an instance may serve any number of requests.
#[global_allocator]
static ALLOCATOR: rlsf::SmallGlobalTlsf = rlsf::SmallGlobalTlsf::new();

// `memcmp` and its kin: compiler_builtins has none for this target.
#[link(name = "c")]
unsafe extern "C" {}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    unreachable()
}

/// Where a host puts what it passes in.
///
/// # Safety
/// Called by the canonical ABI alone, with a block of ours or none.
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
