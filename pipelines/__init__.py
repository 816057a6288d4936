"""WorkflowTemplates written in Hera, their compiler, and the command line."""
