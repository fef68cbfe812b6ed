fn main() {
    println!("pantry {}", hex::encode(itoa::Buffer::new().format(42)));
}
