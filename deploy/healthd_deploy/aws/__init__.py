"""Deploys on AWS: behind an Application Load Balancer, with releases carried out by Systems Manager."""
