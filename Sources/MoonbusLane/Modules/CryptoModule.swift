import CLuaShim
import Crypto

/// `crypto`: digests, text encodings, random ids. Bytes in, text out; digests are lower-case hex.
///
/// ```lua
/// --- crypto.sha256(bytes) · crypto.sha512(bytes) · crypto.hmac(key, bytes) -> hex      [call]
/// --- crypto.hex(bytes) · crypto.base64_encode(bytes) -> text · crypto.base64_decode(text) -> bytes      [call]
/// --- crypto.equal(a, b) -> boolean, in constant time      [call]
/// --- crypto.uuid() -> a version 4 UUID, the same when the delivery is run again      [call]
/// --- Raises "too_large" for more than 8 MiB.
/// ```
enum CryptoModule {
    /// Host functions can't be interrupted; hashing this much takes 40 ms.
    private static let sizeMax = 8 << 20

    static let functions = [
        ModuleFunction("crypto", "sha256", "s") { context, call throws(Refusal) in hex(SHA256.hash(data: try bytes(call, 0)), context, call)
        },
        ModuleFunction("crypto", "sha512", "s") { context, call throws(Refusal) in hex(SHA512.hash(data: try bytes(call, 0)), context, call)
        },
        ModuleFunction("crypto", "hmac", "ss") { context, call throws(Refusal) in
            hex(HMAC<SHA256>.authenticationCode(for: try bytes(call, 1), using: SymmetricKey(data: try bytes(call, 0))), context, call)
        },
        ModuleFunction("crypto", "hex", "s") { context, call throws(Refusal) in hex(try bytes(call, 0), context, call) },
        ModuleFunction("crypto", "base64_encode", "s") { context, call throws(Refusal) in
            Base64.encode(try bytes(call, 0), into: context.worker.scratch)
            return call.returns(MOONBUS_STRING, context.worker.scratch)
        },
        ModuleFunction("crypto", "base64_decode", "s") { context, call throws(Refusal) in
            guard Base64.decode(try bytes(call, 0), into: context.worker.scratch) else {
                throw Refusal("crypto.base64_decode: not base64 (RFC 4648, section 4)")
            }
            return call.returns(MOONBUS_STRING, context.worker.scratch)
        },
        ModuleFunction("crypto", "equal", "ss") { _, call throws(Refusal) in call.returns(isEqual(try bytes(call, 0), try bytes(call, 1)))
        },
        ModuleFunction("crypto", "uuid", "") { context, call in uuid(context, call) },
    ]

    private static func bytes(_ call: HostCall, _ index: Int) throws(Refusal) -> UnsafeRawBufferPointer {
        guard let bytes = call.bytes(index) else { return UnsafeRawBufferPointer(start: nil, count: 0) }
        guard bytes.count <= sizeMax else { throw Refusal("too_large: at most 8 MiB at once") }
        return bytes
    }

    private static func hex(_ bytes: some Sequence<UInt8>, _ context: LaneContext, _ call: HostCall) -> Verdict {
        let digits = Array("0123456789abcdef".utf8)
        let text = context.worker.scratch
        for byte in bytes {
            text.append(digits[Int(byte >> 4)])
            text.append(digits[Int(byte & 15)])
        }
        return call.returns(MOONBUS_STRING, text)
    }

    /// Takes as long for two texts that differ in the first byte as for equal ones. Sizes are no secret.
    private static func isEqual(_ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer) -> Bool {
        guard left.count == right.count else { return false }
        var difference: UInt8 = 0
        for index in left.indices { difference |= left[index] ^ right[index] }
        return difference == 0
    }

    /// Derived from the delivery's seed, which is the host's secret: a retry draws the same ids, so that it can be re-executed exactly.
    private static func uuid(_ context: LaneContext, _ call: HostCall) -> Verdict {
        var bytes = [UInt8](repeating: 0, count: 16)
        if let task = context.taskState() {
            task.uuidCount += 1
            var hash = SHA256()
            withUnsafeBytes(of: (task.delivery.seed, task.uuidCount)) { hash.update(bufferPointer: $0) }
            var identity: (UInt64, UInt64) = (0, 0)
            withUnsafeMutableBytes(of: &identity) { bytes in
                _ = moonbus_context_identity(context.state, bytes.assumingMemoryBound(to: UInt64.self).baseAddress)
            }
            withUnsafeBytes(of: identity) { hash.update(bufferPointer: $0) }
            bytes = Array(hash.finalize().prefix(16))
        } else {
            var generator = SystemRandomNumberGenerator()
            for index in bytes.indices { bytes[index] = generator.next() }
        }
        bytes[6] = bytes[6] & 0x0F | 0x40
        bytes[8] = bytes[8] & 0x3F | 0x80
        let text = context.worker.scratch
        for (index, byte) in bytes.enumerated() {
            if [4, 6, 8, 10].contains(index) { text.append(UInt8(ascii: "-")) }
            text.append(text: (byte < 16 ? "0" : "") + String(byte, radix: 16))
        }
        return call.returns(MOONBUS_STRING, text)
    }
}
