"""An SMTP server of the tests' own: it takes one mail a connection and keeps it.

Facts of the original that it keeps, from RFC 5321 (greeting, EHLO, MAIL, RCPT, DATA with dots doubled, QUIT; each line
ends with CRLF; a command out of order is 503), RFC 3207 (STARTTLS: 220, then a session that begins anew) and RFC 4954
(AUTH PLAIN: 235, or 535), and the draft of AUTH LOGIN (murchison-sasl-login: 334 for the user, 334 for the password).
It refuses a password before the session is encrypted, and mail before a login where it wants one.
"""

import asyncio
import base64
import ssl
from dataclasses import dataclass, field


@dataclass
class MailServer:
    """`refuses` maps recipients to answers, `says` commands; `login` is what AUTH must send; `heard` are the commands
    of all sessions. One that `vanishes` keeps a mail and hangs up rather than say so."""

    tls: ssl.SSLContext | None = None
    login: tuple[str, str] | None = None
    refuses: dict[str, str] = field(default_factory=dict)
    says: dict[str, str] = field(default_factory=dict)
    greeting: str = "220 mail.test ESMTP"
    mechanism: str = "PLAIN"
    vanishes: bool = False
    heard: list[str] = field(default_factory=list)
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
        writer.write(f"{self.greeting}\r\n".encode())
        while line := await reader.readline():
            assert line.endswith(b"\r\n"), line
            word, _, rest = line.decode().strip().partition(" ")
            self.heard.append(word.upper())
            match word.upper():
                case _ if word.upper() in self.says:
                    answer = self.says[word.upper()]
                case "EHLO":
                    offers = ["STARTTLS"] * (self.tls is not None and not encrypted) + [
                        f"AUTH {self.mechanism}"
                    ] * encrypted
                    lines = ["mail.test", *offers, "SIZE 1000000"]
                    marks = ["-"] * (len(lines) - 1) + [" "]
                    answer = "\r\n".join(f"250{mark}{each}" for mark, each in zip(marks, lines, strict=True))
                case "STARTTLS" if self.tls is not None and not encrypted:
                    writer.write(b"220 go ahead\r\n")
                    await writer.drain()
                    await writer.start_tls(self.tls)
                    encrypted = True
                    continue
                case "AUTH" if encrypted and rest.split()[0] == self.mechanism:
                    user, password = await self._asked(reader, writer, rest)
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
                    if self.vanishes:
                        return
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

    async def _asked(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, rest: str) -> tuple[str, str]:
        if self.mechanism == "PLAIN":
            _, user, password = base64.b64decode(rest.split()[1]).decode().split("\0")
            return user, password
        answers = []
        for question in ("Username:", "Password:"):
            writer.write(b"334 " + base64.b64encode(question.encode()) + b"\r\n")
            answers.append(base64.b64decode(await reader.readline()).decode())
        return answers[0], answers[1]
