"""Messages as octets (RFC 5322, RFC 2045 to 2049): read any, write correct ones, thread them. Plain Python."""
