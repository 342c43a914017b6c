"""What runs inside one session: llm -> speech -> render -> publish."""
