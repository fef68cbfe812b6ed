fn main() {
    println!("lz4 {}", unsafe { lz4_sys::LZ4_versionNumber() });
}
