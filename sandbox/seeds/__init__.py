"""The mail that a newcomer finds: a few months in the life of Tandem Lane, an invented bicycle-parts trader."""
