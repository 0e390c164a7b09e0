"""`make demo`: a service in two colours, a deploy that passes and one that is rolled back, in one terminal."""
