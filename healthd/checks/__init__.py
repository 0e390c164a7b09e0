"""The kinds of check. A new one is a file here, a line in the registry, a test and a paragraph in the docs."""

from __future__ import annotations

from healthd.checks.contract import Check, CheckConfig
from healthd.registry import Registry

# Loaded by name, so that a driver is imported only when a check that needs it is configured.
KINDS = {
    "aws": "healthd.checks.aws:AWS",
    "bullmq": "healthd.checks.bullmq:BullMQ",
    "disk": "healthd.checks.disk:Disk",
    "dns": "healthd.checks.dns:DNS",
    "domain": "healthd.checks.domain:Domain",
    "ecs": "healthd.checks.ecs:ECS",
    "env": "healthd.checks.env:Env",
    "exec": "healthd.checks.exec:Exec",
    "grpc": "healthd.checks.grpc:GRPC",
    "headers": "healthd.checks.headers:Headers",
    "heartbeat": "healthd.checks.heartbeat:Heartbeat",
    "http": "healthd.checks.http:Http",
    "kubernetes": "healthd.checks.kubernetes:Kubernetes",
    "memory": "healthd.checks.memory:Memory",
    "migrations": "healthd.checks.migrations:Migrations",
    "mongodb": "healthd.checks.mongodb:MongoDB",
    "mongodb_query": "healthd.checks.mongodb_query:MongoDBQuery",
    "pm2": "healthd.checks.pm2:Pm2",
    "postgresql": "healthd.checks.postgresql:PostgreSQL",
    "process": "healthd.checks.process:Process",
    "rabbitmq": "healthd.checks.rabbitmq:RabbitMQ",
    "rds": "healthd.checks.rds:RDS",
    "redis": "healthd.checks.redis:Redis",
    "redis_sentinel": "healthd.checks.redis_sentinel:RedisSentinel",
    "s3": "healthd.checks.s3:S3",
    "sendgrid": "healthd.checks.sendgrid:SendGrid",
    "smtp": "healthd.checks.smtp:SMTP",
    "sql": "healthd.checks.sql:SQL",
    "sqs": "healthd.checks.sqs:SQS",
    "stripe": "healthd.checks.stripe:Stripe",
    "systemd": "healthd.checks.systemd:Systemd",
    "tcp": "healthd.checks.tcp:TCP",
    "tls": "healthd.checks.tls:TLS",
    "websocket": "healthd.checks.websocket:WebSocket",
}
# Options of the kinds that import a driver: the daemon reads them, and serves health, before it loads any driver.
MODELS = {
    "aws": "healthd.checks.aws_account_options:AWSConfig",
    "bullmq": "healthd.checks.bullmq_state:BullMQConfig",
    "dns": "healthd.checks.dns_options:DNSConfig",
    "ecs": "healthd.checks.ecs_options:ECSConfig",
    "migrations": "healthd.checks.migrations_options:MigrationsConfig",
    "mongodb": "healthd.checks.mongodb_options:MongoDBConfig",
    "mongodb_query": "healthd.checks.mongodb_query_options:MongoDBQueryConfig",
    "postgresql": "healthd.checks.postgresql_options:PostgreSQLConfig",
    "rds": "healthd.checks.rds_options:RDSConfig",
    "redis": "healthd.checks.redis_options:RedisConfig",
    "redis_sentinel": "healthd.checks.sentinel_state:RedisSentinelConfig",
    "s3": "healthd.checks.s3_options:S3Config",
    "sql": "healthd.checks.sql:SQLConfig",  # which imports its driver when it is built
    "sqs": "healthd.checks.sqs_options:SQSConfig",
}


CHECKS: Registry[Check] = Registry("check", "healthd.checks", KINDS, CheckConfig, ("probe", "close"), MODELS)


def known_kinds() -> list[str]:
    """Return every kind that can be configured: the built-in ones and those of installed packages."""
    return CHECKS.kinds()


def find_kind(kind: str) -> type[Check]:
    """Return the class of a kind. Raises UnknownKindError, or ImportError when it cannot be loaded."""
    return CHECKS.find(kind)
