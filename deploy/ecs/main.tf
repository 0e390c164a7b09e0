# healthd as a service of Amazon ECS behind a load balancer of yours. `task-definition.json` beside this file is the task:
# put your account, region, image and secrets there. An example to copy, not a module of a registry.
terraform {
  required_version = ">= 1.5"
  required_providers {
    aws = { source = "hashicorp/aws", version = ">= 5.0" }
  }
}

variable "cluster" {
  description = "ARN of the ECS cluster"
  type        = string
}

variable "vpc" {
  description = "ID of the VPC"
  type        = string
}

variable "subnets" {
  description = "IDs of private subnets with a way to what healthd checks"
  type        = list(string)
}

variable "callers" {
  description = "ID of the security group whose members may call port 8080: load balancer, CI runners, Prometheus"
  type        = string
}

variable "load_balancer" {
  description = "ARN of the Application Load Balancer in front of healthd, an internal one"
  type        = string
}

variable "certificate" {
  description = "ARN of the certificate, in ACM, for the name under which healthd is called"
  type        = string
}

locals {
  task      = jsondecode(file("${path.module}/task-definition.json"))
  container = local.task.containerDefinitions[0].name
}

resource "aws_cloudwatch_log_group" "healthd" {
  name              = "/ecs/healthd"
  retention_in_days = 30
}

resource "aws_ecs_task_definition" "healthd" {
  family                   = local.task.family
  requires_compatibilities = local.task.requiresCompatibilities
  network_mode             = local.task.networkMode
  cpu                      = local.task.cpu
  memory                   = local.task.memory
  execution_role_arn       = local.task.executionRoleArn
  task_role_arn            = local.task.taskRoleArn
  container_definitions    = jsonencode(local.task.containerDefinitions)

  dynamic "volume" {
    for_each = local.task.volumes
    content { name = volume.value.name }
  }
}

resource "aws_security_group" "healthd" {
  name_prefix = "healthd-"
  vpc_id      = var.vpc

  ingress {
    from_port       = 8080
    to_port         = 8080
    protocol        = "tcp"
    security_groups = [var.callers]
  }

  egress {
    from_port   = 0
    to_port     = 0
    protocol    = "-1"
    cidr_blocks = ["0.0.0.0/0"]
  }
}

# The load balancer asks whether this replica can serve, not whether what it watches is well.
resource "aws_lb_target_group" "healthd" {
  name_prefix          = "hlthd-"
  port                 = 8080
  protocol             = "HTTP"
  target_type          = "ip"
  vpc_id               = var.vpc
  deregistration_delay = 15

  health_check {
    path                = "/health/live"
    interval            = 10
    healthy_threshold   = 2
    unhealthy_threshold = 2
  }
}

# Tokens travel by it, so that there is no listener without TLS.
resource "aws_lb_listener" "healthd" {
  load_balancer_arn = var.load_balancer
  port              = 443
  protocol          = "HTTPS"
  ssl_policy        = "ELBSecurityPolicy-TLS13-1-2-2021-06"
  certificate_arn   = var.certificate

  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.healthd.arn
  }
}

resource "aws_ecs_service" "healthd" {
  depends_on      = [aws_lb_listener.healthd] # ECS takes no target group that no listener leads to
  name            = "healthd"
  cluster         = var.cluster
  task_definition = aws_ecs_task_definition.healthd.arn
  desired_count   = 2 # they share the journal in PostgreSQL
  launch_type     = "FARGATE"

  network_configuration {
    subnets         = var.subnets
    security_groups = [aws_security_group.healthd.id]
  }

  load_balancer {
    target_group_arn = aws_lb_target_group.healthd.arn
    container_name   = local.container
    container_port   = 8080
  }

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }
}

output "target_group" {
  description = "ARN of the target group, for a rule of another listener"
  value       = aws_lb_target_group.healthd.arn
}
