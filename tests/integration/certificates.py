"""A throw-away certificate authority and one certificate for 127.0.0.1, made with openssl."""
import os
import subprocess
from pathlib import Path


def make(folder: Path, days: int = 30) -> dict[str, Path]:
    """Returns the paths of ca, cert and key; makes them if they are not there yet."""
    paths = {'ca': folder / 'ca.pem', 'cert': folder / 'server.pem', 'key': folder / 'server.key'}
    if all(p.exists() for p in paths.values()):
        return paths
    folder.mkdir(parents=True, exist_ok=True)

    def openssl(*args):
        subprocess.run(
            ['openssl', *map(str, args)],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
        )

    ca_key, request, extensions = folder / 'ca.key', folder / 'server.csr', folder / 'extensions'
    openssl(
        'req',
        '-x509',
        '-newkey',
        'rsa:2048',
        '-nodes',
        '-days',
        '30',
        '-subj',
        '/CN=bulkhead test CA',
        '-keyout',
        ca_key,
        '-out',
        paths['ca'],
    )
    openssl('req', '-newkey', 'rsa:2048', '-nodes', '-subj', '/CN=localhost', '-keyout', paths['key'], '-out', request)
    extensions.write_text('subjectAltName=DNS:localhost,IP:127.0.0.1\n')
    openssl(
        'x509',
        '-req',
        '-days',
        str(days),
        '-in',
        request,
        '-CA',
        paths['ca'],
        '-CAkey',
        ca_key,
        '-CAcreateserial',
        '-extfile',
        extensions,
        '-out',
        paths['cert'],
    )
    for path in (*paths.values(), folder):
        # The servers run as another user; the key protects nothing but this run's loopback traffic.
        os.chmod(path, 0o755 if path.is_dir() else 0o644)
    return paths
