"""The client's side of the authentication plugins, for rawclient."""
import hashlib


def _xor(a: bytes, b: bytes) -> bytes:
    return bytes(x ^ y for x, y in zip(a, b))


def native(password: str, scramble: bytes) -> bytes:
    if not password:
        return b''
    once = hashlib.sha1(password.encode()).digest()
    return _xor(once, hashlib.sha1(scramble[:20] + hashlib.sha1(once).digest()).digest())


def caching_sha2(password: str, scramble: bytes) -> bytes:
    if not password:
        return b''
    once = hashlib.sha256(password.encode()).digest()
    return _xor(once, hashlib.sha256(hashlib.sha256(once).digest() + scramble[:20]).digest())


def answer(plugin: str, password: str, scramble: bytes) -> bytes:
    if plugin == 'mysql_native_password':
        return native(password, scramble)
    if plugin == 'caching_sha2_password':
        return caching_sha2(password, scramble)
    if plugin == 'mysql_clear_password':
        return password.encode() + b'\0'
    if plugin == 'client_ed25519':
        return ed25519(password.encode(), scramble)
    raise AssertionError(f'no plugin {plugin}')


def encrypt_with_rsa(password: str, scramble: bytes, pem: bytes) -> bytes:
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import padding

    secret = password.encode() + b'\0'
    repeated = (scramble[:20] * (len(secret) // 20 + 1))[: len(secret)]
    key = serialization.load_pem_public_key(pem)
    return key.encrypt(_xor(secret, repeated), padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None))


# Ed25519 with MariaDB's twist (the "seed" is the password of any length), by the definition of RFC 8032. Slow and
# plain: it signs one login at a time.
_P = 2**255 - 19
_L = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, _P - 2, _P) % _P


def _add(p, q):
    a = (p[1] - p[0]) * (q[1] - q[0]) % _P
    b = (p[1] + p[0]) * (q[1] + q[0]) % _P
    c = 2 * p[3] * q[3] * _D % _P
    d = 2 * p[2] * q[2] % _P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


def _multiply(scalar: int, point):
    result = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            result = _add(result, point)
        point, scalar = _add(point, point), scalar >> 1
    return result


def _base_point():
    y = 4 * pow(5, _P - 2, _P) % _P
    x2 = (y * y - 1) * pow(_D * y * y + 1, _P - 2, _P) % _P
    x = pow(x2, (_P + 3) // 8, _P)
    if (x * x - x2) % _P:
        x = x * pow(2, (_P - 1) // 4, _P) % _P
    if x % 2:
        x = _P - x
    return x, y, 1, x * y % _P


def _compress(point) -> bytes:
    inverse = pow(point[2], _P - 2, _P)
    x, y = point[0] * inverse % _P, point[1] * inverse % _P
    return (y | (x & 1) << 255).to_bytes(32, 'little')


def ed25519(password: bytes, scramble: bytes) -> bytes:
    digest = hashlib.sha512(password).digest()
    scalar = int.from_bytes(digest[:32], 'little') & ((1 << 254) - 8) | 1 << 254
    public = _compress(_multiply(scalar, _base_point()))
    message = scramble[:32]
    nonce = int.from_bytes(hashlib.sha512(digest[32:] + message).digest(), 'little') % _L
    commitment = _compress(_multiply(nonce, _base_point()))
    challenge = int.from_bytes(hashlib.sha512(commitment + public + message).digest(), 'little') % _L
    return commitment + ((nonce + challenge * scalar) % _L).to_bytes(32, 'little')
