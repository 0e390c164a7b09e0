"""An SMTP server of the tests' own: it takes one mail a connection and keeps it.

Facts of the original that it keeps, from RFC 5321 (greeting, EHLO, MAIL, RCPT, DATA with dots doubled, QUIT; each line
ends with CRLF; a command out of order is 503), RFC 3207 (STARTTLS: 220, then a session that begins anew) and RFC 4954
(AUTH PLAIN: 235, or 535). It refuses a password before the session is encrypted, and mail before a
login where it wants one.
"""

import asyncio
import base64
import ssl
from dataclasses import dataclass, field


@dataclass
class MailServer:
    """`refuses` maps recipients to answers, `says` commands; `login` is what AUTH must send."""

    tls: ssl.SSLContext | None = None
    login: tuple[str, str] | None = None
    refuses: dict[str, str] = field(default_factory=dict)
    says: dict[str, str] = field(default_factory=dict)
    mails: list[bytes] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._serve(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            pass
        finally:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        encrypted = writer.get_extra_info("ssl_object") is not None
        knows, sender, accepted = self.login is None, False, []
        writer.write(b"220 mail.test ESMTP\r\n")
        while line := await reader.readline():
            assert line.endswith(b"\r\n"), line
            word, _, rest = line.decode().strip().partition(" ")
            match word.upper():
                case _ if word.upper() in self.says:
                    answer = self.says[word.upper()]
                case "EHLO":
                    offers = ["STARTTLS"] * (self.tls is not None and not encrypted) + ["AUTH PLAIN"] * encrypted
                    lines = ["mail.test", *offers, "SIZE 1000000"]
                    marks = ["-"] * (len(lines) - 1) + [" "]
                    answer = "\r\n".join(f"250{mark}{each}" for mark, each in zip(marks, lines, strict=True))
                case "STARTTLS" if self.tls is not None and not encrypted:
                    writer.write(b"220 go ahead\r\n")
                    await writer.drain()
                    await writer.start_tls(self.tls)
                    encrypted = True
                    continue
                case "AUTH" if encrypted:
                    _, user, password = base64.b64decode(rest.split()[1]).decode().split("\0")
                    knows = knows or (user, password) == self.login
                    answer = "235 welcome" if knows else "535 5.7.8 who are you?"
                case "MAIL" if knows:
                    sender, answer = True, "250 ok"
                case "RCPT" if sender:
                    name = rest.partition("<")[2].partition(">")[0]
                    answer = self.refuses.get(name, "250 ok")
                    accepted += [name] * answer.startswith("250")
                case "DATA" if accepted:
                    writer.write(b"354 go on\r\n")
                    mail = await reader.readuntil(b"\r\n.\r\n")
                    self.mails.append(mail[:-3].replace(b"\r\n..", b"\r\n."))
                    self.recipients += accepted
                    answer = "250 queued"
                case "RSET":
                    sender, accepted, answer = False, [], "250 ok"
                case "QUIT":
                    writer.write(b"221 bye\r\n")
                    return
                case _:
                    answer = "503 not now"
            writer.write(f"{answer}\r\n".encode())
            await writer.drain()
