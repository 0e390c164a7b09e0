"""What a configuration file may say of gates."""
